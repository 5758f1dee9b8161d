"""Model access keys and the limits of the accounts that hold them."""

import asyncio
import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.access import KEYS_CHANNEL, AccessKey, Limits
from storage.database import Database
from storage.key_rules import (
    checked_account,
    checked_expiry,
    checked_limits,
    checked_model,
    checked_models,
    checked_name,
    checked_networks,
)
from storage.line import Line
from storage.tables import ACCESS_KEYS, ACCOUNTS, MODEL_LIMITS

SECRET_PREFIX: Final = "sk-ps-"
SECRET_BYTES: Final = 24


class NewKey(msgspec.Struct, frozen=True):
    """`secret` is told here and never again."""

    secret: str
    key: AccessKey


class KeyStore:
    """Whoever changes a key or a limit through it also calls `announce`, or the doors notice only by expiry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        account: str,
        name: str,
        *,
        models: Iterable[str] | None = None,
        networks: Iterable[str] = (),
        expires_at_ms: int | None = None,
    ) -> NewKey:
        """A new key, for an account that is made if there is none; raises InvalidValue with the parameter's name."""
        now_ms = _now_ms()
        secret = SECRET_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        row = {
            "id": f"key_{secrets.token_hex(8)}",
            "account": checked_account(account),
            "name": checked_name(name),
            "secret_sha256": hash_secret(secret),
            "models": checked_models(models),
            "networks": checked_networks(networks),
            "created_at_ms": now_ms,
            "expires_at_ms": checked_expiry(expires_at_ms, now_ms=now_ms),
        }
        async with self._database.writing() as connection:
            await self._ensure_account(connection, account, now_ms)
            await connection.execute(ACCESS_KEYS.insert(), row)
            (key,) = await _keys(connection, ACCESS_KEYS.c.id == row["id"])
        return NewKey(secret, key)

    async def find(self, secret_hash: str) -> AccessKey | None:
        """The key whose secret has this hash; one that was revoked or has expired is found too, and says so."""
        async with self._database.reading() as connection:
            found = await _keys(connection, ACCESS_KEYS.c.secret_sha256 == secret_hash)
        return found[0] if found else None

    async def is_open(self, key_id: str) -> bool:
        """Whether there is such a key, and nobody has revoked it."""
        statement = select(ACCESS_KEYS.c.id).where(ACCESS_KEYS.c.id == key_id, ACCESS_KEYS.c.revoked_at_ms.is_(None))
        async with self._database.reading() as connection:
            return (await connection.execute(statement)).first() is not None

    async def list(self, account: str | None = None) -> Sequence[AccessKey]:
        """All keys, or one account's, oldest first."""
        async with self._database.reading() as connection:
            return await _keys(connection, *([] if account is None else [ACCESS_KEYS.c.account == account]))

    async def revoke(self, key_id: str) -> bool:
        """Close a key for good; False if there is none that is open."""
        statement = (
            update(ACCESS_KEYS)
            .where(ACCESS_KEYS.c.id == key_id, ACCESS_KEYS.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=_now_ms())
        )
        async with self._database.writing() as connection:
            return (await connection.execute(statement)).rowcount == 1

    async def set_limits(self, account: str, limits: Limits, model: str | None = None) -> Sequence[str]:
        """Set the account's limits, or those it has on one model, and return the ids of the keys they hold for."""
        checked_account(account)
        columns = checked_limits(limits)
        async with self._database.writing() as connection:
            await self._ensure_account(connection, account, _now_ms())
            if model is None:
                await connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.id == account).values(columns))
            else:
                row = {"account": account, "model": checked_model(model, param="model"), **columns}
                statement = self._database.insert(MODEL_LIMITS).values(row)
                await connection.execute(
                    statement.on_conflict_do_update(index_elements=["account", "model"], set_=columns)
                )
            ids = await connection.execute(select(ACCESS_KEYS.c.id).where(ACCESS_KEYS.c.account == account))
            return ids.scalars().all()

    async def _ensure_account(self, connection: AsyncConnection, account: str, now_ms: int) -> None:
        statement = self._database.insert(ACCOUNTS).values(id=account, created_at_ms=now_ms)
        await connection.execute(statement.on_conflict_do_nothing())


def hash_secret(secret: str) -> str:
    """What is kept of a secret: SHA-256 in hex.

    Neither salted nor slow: a secret is 192 random bits, which no dictionary holds and no search finds.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


async def announce(redis_url: str, *key_ids: str) -> None:
    """Tell every ingress process that these keys have changed, so that it asks for them anew. Raises Undecidable."""
    line = Line(redis_url)
    try:
        await line.open()
        await asyncio.gather(*(line.call("PUBLISH", KEYS_CHANNEL, key_id) for key_id in key_ids))
    finally:
        await line.close()


async def _keys(connection: AsyncConnection, *where: Any) -> list[AccessKey]:
    statement = (
        select(ACCESS_KEYS, ACCOUNTS.c.requests_per_min, ACCOUNTS.c.tokens_per_min, ACCOUNTS.c.in_flight)
        .join(ACCOUNTS)
        .where(*where)
        .order_by(ACCESS_KEYS.c.created_at_ms, ACCESS_KEYS.c.id)
    )
    rows = (await connection.execute(statement)).mappings().all()
    accounts = {row["account"] for row in rows}
    limits = await connection.execute(select(MODEL_LIMITS).where(MODEL_LIMITS.c.account.in_(accounts)))
    of_account: dict[str, dict[str, Limits]] = {account: {} for account in accounts}
    for limit in limits.mappings():
        of_account[limit["account"]][limit["model"]] = _limits(limit)
    return [_key(row, of_account[row["account"]]) for row in rows]


def _key(row: RowMapping, model_limits: dict[str, Limits]) -> AccessKey:
    return AccessKey(
        id=row["id"],
        account=row["account"],
        name=row["name"],
        models=None if row["models"] is None else tuple(row["models"]),
        networks=tuple(row["networks"]),
        created_at_ms=row["created_at_ms"],
        expires_at_ms=row["expires_at_ms"],
        revoked_at_ms=row["revoked_at_ms"],
        limits=_limits(row),
        model_limits=model_limits,
    )


def _limits(row: RowMapping) -> Limits:
    return Limits(**{name: row[name] for name in Limits.__struct_fields__})


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
