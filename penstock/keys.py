"""`penstock keys`: create, list and revoke model access keys."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
import typer

from penstock.options import DEFAULT_DATA
from penstock.table import table
from penstock.target import AsJson, Data, Database, Redis, find_target
from schemas.access import AccessKey
from schemas.errors import NotFound
from storage.database import Database as Store
from storage.keys import KeyStore, NewKey, announce

DAY_MS: Final = 86_400_000

Result = TypeVar("Result")

app = typer.Typer(help="Create, list and revoke model access keys.", no_args_is_help=True)


@app.command("create")
def create(
    *,
    account: Annotated[str, typer.Option(help="Account that the key's use is charged to.")] = "default",
    name: Annotated[str, typer.Option(help="What a person calls the key.")] = "key",
    model: Annotated[list[str] | None, typer.Option(help="Model it opens; may be repeated. Default: all.")] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="CIDR it opens from; may be repeated. Default: any.")
    ] = None,
    expires_in_days: Annotated[float | None, typer.Option(help="Days until it closes by itself.")] = None,
    data: Data = DEFAULT_DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a key. Its secret is shown here and never again."""
    expires_at_ms = None if expires_in_days is None else int(time.time() * 1000 + expires_in_days * DAY_MS)

    async def make(keys: KeyStore) -> NewKey:
        return await keys.create(account, name, models=model, networks=network or (), expires_at_ms=expires_at_ms)

    new = asyncio.run(_with_keys(find_target(data, database=database).database, make))
    if as_json:
        print(json.dumps({"key": new.secret, **_public(new.key)}))
    else:
        print(f"{new.secret}\n{new.key.id} of account {new.key.account}; the key is not shown again")


@app.command("list")
def list_keys(
    *,
    account: Annotated[str | None, typer.Option(help="Only this account's keys.")] = None,
    data: Data = DEFAULT_DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show all keys, oldest first, without their secrets."""

    async def find(keys: KeyStore) -> Sequence[AccessKey]:
        return await keys.list(account)

    found = asyncio.run(_with_keys(find_target(data, database=database).database, find))
    if as_json:
        print(json.dumps({"object": "list", "data": [_public(key) for key in found]}))
    else:
        rows = [
            (k.id, k.account, k.name, _state(k), k.models or "all", k.networks or "any", _day(k.created_at_ms))
            for k in found
        ]
        print(table(("id", "account", "name", "state", "models", "networks", "created"), rows))


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id, as in key_0123456789abcdef.")],
    *,
    data: Data = DEFAULT_DATA,
    database: Database = None,
    redis: Redis = None,
) -> None:
    """Close a key for good, at once on every ingress."""
    target = find_target(data, database=database, redis=redis)

    async def close(keys: KeyStore) -> None:
        if not await keys.revoke(key_id):
            raise NotFound(f"there is no open key {key_id}: penstock keys list shows those there are")
        if target.redis is not None:
            await announce(target.redis, key_id)

    asyncio.run(_with_keys(target.database, close))
    print(f"revoked {key_id}")


async def _with_keys(database_url: str, work: Callable[[KeyStore], Awaitable[Result]]) -> Result:
    database = await Store.open(database_url)
    try:
        return await work(KeyStore(database))
    finally:
        await database.close()


def _public(key: AccessKey) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(key).items() if name not in ("limits", "model_limits")}


def _state(key: AccessKey) -> str:
    if key.revoked_at_ms is not None:
        return "revoked"
    return "expired" if key.expires_at_ms is not None and key.expires_at_ms <= time.time() * 1000 else "open"


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).date().isoformat()
