"""`penstock webhooks`: the secrets that an account's webhooks are signed with."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from penstock.options import DEFAULT_DATA
from penstock.target import AsJson, Data, Database, find_target
from storage.database import Database as Store
from storage.key_rules import checked_account
from storage.webhook_secrets import WebhookSecrets

Account = Annotated[str, typer.Option(help="Account whose webhooks are meant.")]
Result = TypeVar("Result")

app = typer.Typer(help="Show and renew the secrets that webhooks are signed with.", no_args_is_help=True)


@app.command("secret")
def secret(
    *,
    account: Account = "default",
    data: Data = DEFAULT_DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Show the secrets that sign at the moment, the newest first; an account that has none is given one."""
    checked_account(account)
    signing = asyncio.run(_with_secrets(_url(data, database), lambda secrets: secrets.of(account)))
    print(json.dumps({"account": account, "secrets": signing}) if as_json else "\n".join(signing))


@app.command("rotate")
def rotate(
    *,
    account: Account = "default",
    data: Data = DEFAULT_DATA,
    database: Database = None,
    as_json: AsJson = False,
) -> None:
    """Make a new secret and show it. The one before it signs too for a day more."""
    new = asyncio.run(_with_secrets(_url(data, database), lambda secrets: secrets.rotate(account)))
    print(json.dumps({"account": account, "secret": new}) if as_json else new)


def _url(data: Path, database: str | None) -> str:
    return find_target(data, database=database).database


async def _with_secrets(database_url: str, work: Callable[[WebhookSecrets], Awaitable[Result]]) -> Result:
    database = await Store.open(database_url)
    try:
        return await work(WebhookSecrets(database))
    finally:
        await database.close()
