"""`penstock limits`: what an account may use."""

import asyncio
from typing import Annotated

import typer

from penstock.options import DEFAULT_DATA
from penstock.target import Data, Database, Redis, Target, find_target
from schemas.access import Limits
from storage.database import Database as Store
from storage.keys import KeyStore, announce


def limits(
    account: Annotated[str, typer.Argument(help="The account.")],
    *,
    model: Annotated[str | None, typer.Option(help="Limits on this model alone; default: on all together.")] = None,
    requests_per_min: Annotated[int | None, typer.Option(help="Requests in a minute.")] = None,
    tokens_per_min: Annotated[int | None, typer.Option(help="Tokens in a minute, in and out.")] = None,
    in_flight: Annotated[int | None, typer.Option(help="Requests at once.")] = None,
    data: Data = DEFAULT_DATA,
    database: Database = None,
    redis: Redis = None,
) -> None:
    """Set what an account may use in a minute and at once; what is not given is not limited."""
    wanted = Limits(requests_per_min, tokens_per_min, in_flight)
    target = find_target(data, database=database, redis=redis)
    asyncio.run(_set(target, account, wanted, model))
    print(f"limits of {account}{f' on {model}' if model else ''} set")


async def _set(target: Target, account: str, wanted: Limits, model: str | None) -> None:
    database = await Store.open(target.database)
    try:
        key_ids = await KeyStore(database).set_limits(account, wanted, model)
    finally:
        await database.close()
    if target.redis is not None:
        await announce(target.redis, *key_ids)
