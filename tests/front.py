"""The HTTP app with a real database behind it; nothing that needs a server is opened."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx2
import yaml
from openai import AsyncOpenAI

from ingress.app import create_app
from ingress.auth import KeyCache
from ingress.door import Door
from ingress.settings import IngressSettings
from storage.catalog import load_catalog
from storage.database import Database
from storage.keys import KeyStore
from storage.ledger import Ledger
from storage.migrate import migrate
from storage.settings import ObserveSettings, StorageSettings

ROWS: Final[list[dict[str, object]]] = [
    {"id": "one", "aliases": ["org/one"], "created": 1_700_000_000, "display_name": "Model one"},
    {"id": "org/two", "price": {"input_usd_per_mtok": 0.5, "output_usd_per_mtok": 2}},
]


@dataclass
class Front:
    """The app as a client on this machine sees it."""

    http: httpx2.AsyncClient
    keys: KeyStore
    ledger: Ledger

    async def secret(
        self, account: str = "acme", models: Iterable[str] | None = None, networks: Iterable[str] = ()
    ) -> str:
        return (await self.keys.create(account, "test", models=models, networks=networks)).secret

    async def sdk(self, account: str = "acme", models: Iterable[str] | None = None) -> AsyncOpenAI:
        """The official client, with a key of its own."""
        secret = await self.secret(account, models)
        return AsyncOpenAI(base_url="http://door/v1", api_key=secret, http_client=self.http, max_retries=0)


@asynccontextmanager
async def open_front(folder: Path) -> AsyncIterator[Front]:
    url = f"sqlite:///{folder}/penstock.db"
    migrate(url)
    row: dict[str, object] = {"engine": "llama_cpp", "context_tokens": 2048, "max_output_tokens": 512}
    file = folder / "rows.yaml"
    file.write_text(yaml.safe_dump({"builtin": False, "models": [row | own for own in ROWS]}))
    storage, settings, observe = StorageSettings(database=url), IngressSettings(), ObserveSettings()
    database = await Database.open(url)
    keys = KeyStore(database)
    door = Door(storage, settings, observe)
    door.catalog = load_catalog([file])
    door.keys = KeyCache(keys.find, ttl_s=60, negative_ttl_s=5, capacity=100)
    door.ledger = Ledger(database)
    app = create_app(door)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://door") as http:
        yield Front(http, keys, door.ledger)
    await door.keys.close()
    await database.close()
