"""A whole Penstock for a test: real Kafka, Valkey, ingress, worker and streams, and a scripted upstream.

Its parts are processes that a test may kill and start again by name.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx2
import yaml
from sqlalchemy import select

from penstock.part import start_part
from schemas.access import Limits
from schemas.catalog import Catalog
from schemas.topics import platform_topics
from storage.catalog import load_catalog
from storage.database import Database
from storage.keys import KeyStore, NewKey, announce
from storage.ledger import Charge, Ledger
from storage.local.child import Child
from storage.local.kafka import KafkaNode
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from storage.local.valkey import ValkeyServer
from storage.migrate import migrate
from storage.tables import LEDGER
from storage.topics import make_topics
from tests.upstream import Upstream

STOP_S: Final = 10.0
WAIT_S: Final = 30.0

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ingress": ("-m", "ingress"),
    "worker": ("-m", "workers", "--lane", "text.default"),
    "streams": ("-m", "streams"),
}


class Stack:
    """The parts by name; `kafka` and `valkey` are the servers, `upstream` is what the model `scripted` runs on."""

    def __init__(self, folder: Path, program: KafkaProgram, upstream: Upstream, rows: list[dict[str, Any]]) -> None:
        self.folder = folder
        self.upstream = upstream
        self._catalog_file = folder / "catalog.yaml"
        self._catalog_file.write_text(yaml.safe_dump({"models": [scripted_row(upstream.url), *rows]}))
        self._kafka = KafkaNode(program, folder / "kafka")
        self._valkey = ValkeyServer(folder / "valkey")
        self._children: dict[str, Child] = {}
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self.database_url = f"sqlite:///{folder}/penstock.db"

    @property
    def redis_url(self) -> str:
        return self._valkey.url

    @property
    def bootstrap(self) -> str:
        return self._kafka.bootstrap

    @property
    def base_url(self) -> str:
        return self.url + "/v1"

    @property
    def catalog(self) -> Catalog:
        return load_catalog([self._catalog_file])

    async def start(self, name: str, **env: str) -> None:
        """Starts a part, as `worker` or, for another of its kind, `worker-2`; returns when it takes work."""
        if name == "kafka":
            self._children[name] = await self._kafka.start()
        elif name == "valkey":
            self._children[name] = await self._valkey.start()
        else:
            command = COMMANDS[name.partition("-")[0]]
            log = self.folder / f"{name}.log"
            self._children[name] = await start_part(name, command, log, {**self._environment(name), **env})

    async def kill(self, name: str) -> None:
        """kill -9."""
        child = self._children.pop(name)
        child._process.kill()
        await child.wait()

    async def stop(self, name: str) -> None:
        await self._children.pop(name).stop(STOP_S)

    async def stop_all(self) -> None:
        for name in ["ingress", "worker", "streams", *list(self._children)]:
            for running in [n for n in self._children if n.partition("-")[0] == name.partition("-")[0]]:
                await self.stop(running)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()

    async def create_key(self, account: str = "default", **scope: Any) -> NewKey:
        """A new access key, which every ingress knows at once."""
        database = await Database.open(self.database_url)
        try:
            created = await KeyStore(database).create(account, "test", **scope)
        finally:
            await database.close()
        await announce(self.redis_url, created.key.id)
        return created

    async def revoke_key(self, key_id: str) -> None:
        database = await Database.open(self.database_url)
        try:
            await KeyStore(database).revoke(key_id)
        finally:
            await database.close()
        await announce(self.redis_url, key_id)

    async def set_limits(self, account: str, limits: Limits, model: str | None = None) -> None:
        database = await Database.open(self.database_url)
        try:
            changed = await KeyStore(database).set_limits(account, limits, model)
        finally:
            await database.close()
        await announce(self.redis_url, *changed)

    async def charges(self, account: str, count: int) -> list[Charge]:
        """The account's ledger rows, once there are `count`."""
        database = await Database.open(self.database_url)
        try:
            charged = select(LEDGER.c.job_id).where(LEDGER.c.account == account).order_by(LEDGER.c.accepted_at_ms)

            async def job_ids() -> list[str]:
                async with database.reading() as connection:
                    return list((await connection.execute(charged)).scalars())

            found = await until(job_ids, lambda ids: len(ids) >= count)
            return [charge for job_id in found if (charge := await Ledger(database).row(job_id)) is not None]
        finally:
            await database.close()

    def client(self, secret: str, timeout_s: float = WAIT_S) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {secret}"}, timeout=timeout_s, trust_env=False
        )

    def _environment(self, name: str) -> dict[str, str]:
        return {
            "PENSTOCK_KAFKA": self.bootstrap,
            "PENSTOCK_REDIS": self.redis_url,
            "PENSTOCK_DATABASE": self.database_url,
            "PENSTOCK_OBJECTS": str(self.folder / "objects"),
            "PENSTOCK_CATALOG": str(self._catalog_file),
            "PENSTOCK_PORT": str(self._port),
            "PENSTOCK_REUSE_PORT": "1",
            "PENSTOCK_WORKER_NAME": name,
            "PENSTOCK_DATA": str(self.folder),
        }


def scripted_row(url: str, **fields: Any) -> dict[str, Any]:
    """A catalogue row for the scripted upstream, which answers at once or fails at once."""
    return {
        "id": "scripted",
        "engine": "openai_compatible",
        "base_url": url,
        "context_tokens": 8192,
        "max_output_tokens": 1024,
        "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        **fields,
    }


@asynccontextmanager
async def running_stack(
    folder: Path, program: KafkaProgram, *parts: str, rows: list[dict[str, Any]] | None = None, **env: str
) -> AsyncIterator[Stack]:
    """A stack with these parts, by default one of each."""
    async with Upstream() as upstream:
        stack = Stack(folder, program, upstream, rows or [])
        try:
            await asyncio.gather(stack.start("kafka"), stack.start("valkey"))
            await asyncio.to_thread(migrate, stack.database_url)
            lanes = stack.catalog.lanes()
            await make_topics(stack.bootstrap, platform_topics(lanes, lane_partitions=4))
            await asyncio.gather(*[stack.start(part, **env) for part in parts or ("ingress", "worker", "streams")])
            yield stack
        finally:
            await stack.stop_all()


async def until(look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], within_s: float = WAIT_S) -> Any:
    """What `look` sees, once it `holds`."""
    deadline = time.monotonic() + within_s
    while not holds(seen := await look()):
        assert time.monotonic() < deadline, f"after {within_s} s still {seen!r}"
        await asyncio.sleep(0.02)
    return seen
