"""`penstock usage`: what an account used, and what it costs."""

import asyncio
from datetime import date, datetime
from typing import Annotated, Final

import msgspec
import typer

from penstock.money import dollars
from penstock.options import DEFAULT_DATA
from penstock.table import table
from penstock.target import AsJson, Data, Database, find_target
from storage.database import Database as Store
from storage.ledger import Ledger, UsageDay

DAY_FORMAT: Final = ["%Y-%m-%d"]


def usage(
    *,
    account: Annotated[str, typer.Option(help="The account.")] = "default",
    since: Annotated[datetime | None, typer.Option(formats=DAY_FORMAT, help="First day, UTC.")] = None,
    until: Annotated[datetime | None, typer.Option(formats=DAY_FORMAT, help="Last day, UTC.")] = None,
    data: Data = DEFAULT_DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show an account's use and its price by day and model, a few seconds behind at most."""
    first, last = (None if day is None else day.date() for day in (since, until))
    days = asyncio.run(_days(find_target(data, database=database).database, account, first, last))
    if as_json:
        print(msgspec.json.encode({"object": "list", "data": days}).decode())
        return
    titles = ("day", "model", "requests", "input tokens", "cached", "output tokens", "units", "cost $")
    rows = [
        (
            d.day,
            d.model,
            d.requests,
            d.input_tokens,
            d.cached_input_tokens,
            d.output_tokens,
            f"{d.units} {d.unit}".strip() if d.unit else "",
            dollars(d.cost_microusd),
        )
        for d in days
    ]
    print(table(titles, rows))


async def _days(database_url: str, account: str, since: date | None, until: date | None) -> list[UsageDay]:
    database = await Store.open(database_url)
    try:
        return await Ledger(database).usage(account, since_day=since, until_day=until)
    finally:
        await database.close()
