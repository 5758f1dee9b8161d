"""What an account's webhooks are signed with: its newest secret, and for a day the one before it too."""

import base64
import secrets
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from storage.database import Database
from storage.key_rules import checked_account
from storage.tables import ACCOUNTS, WEBHOOK_SECRETS

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32
BOTH_MS: Final = 86_400_000
"""For how long after a new secret was made the one before it signs too, so that a receiver has time to learn it."""


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class WebhookSecrets:
    """Raises Undecidable when the database cannot be asked. A secret is shown as Standard Webhooks writes it."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._database = database
        self._now_ms = now_ms

    async def of(self, account: str) -> tuple[str, ...]:
        """Those that sign at the moment, the newest first; an account that has none is given one."""
        async with self._database.reading() as connection:
            if known := _signing(await _newest(connection, account), self._now_ms()):
                return known
        await self._add(account, 1)
        async with self._database.reading() as connection:
            return _signing(await _newest(connection, account), self._now_ms())

    async def rotate(self, account: str) -> str:
        """A new secret, which signs from now on. Raises InvalidValue for a name that is no account's."""
        checked_account(account)
        async with self._database.reading() as connection:
            newest = await _newest(connection, account)
        await self._add(account, newest[0].number + 1 if newest else 1)
        return (await self.of(account))[0]

    async def _add(self, account: str, number: int) -> None:
        """Of those who add the same number at once, one does."""
        row = {"account": account, "number": number, "secret": _new(), "created_at_ms": self._now_ms()}
        async with self._database.writing() as connection:
            known = self._database.insert(ACCOUNTS).values(id=account, created_at_ms=self._now_ms())
            await connection.execute(known.on_conflict_do_nothing())
            await connection.execute(self._database.insert(WEBHOOK_SECRETS).values(row).on_conflict_do_nothing())


async def _newest(connection: AsyncConnection, account: str) -> list[Row[tuple[int, str, int]]]:
    columns = WEBHOOK_SECRETS.c
    newest = select(columns.number, columns.secret, columns.created_at_ms).where(columns.account == account)
    return list(await connection.execute(newest.order_by(columns.number.desc()).limit(2)))


def _signing(newest: list[Row[tuple[int, str, int]]], now_ms: int) -> tuple[str, ...]:
    both = len(newest) == 2 and now_ms < newest[0].created_at_ms + BOTH_MS
    return tuple(row.secret for row in newest[: 2 if both else 1])


def _new() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
