"""A Penstock that runs, as a test administers it and looks into it, wherever its parts are and whoever started them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis
from sqlalchemy import select

from schemas.access import Limits
from storage.database import Database
from storage.keys import KeyStore, NewKey, announce
from storage.ledger import Charge, Ledger
from storage.tables import LEDGER

WAIT_S: Final = 30.0


class Running:
    """`url` is its first ingress."""

    def __init__(self, url: str, redis_url: str, database_url: str) -> None:
        self.url = url
        self.redis_url = redis_url
        self.database_url = database_url

    @property
    def base_url(self) -> str:
        return self.url + "/v1"

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
        await self.revoke_key_unheard(key_id)
        await announce(self.redis_url, key_id)

    async def revoke_key_unheard(self, key_id: str) -> None:
        """Revokes a key and tells nobody."""
        database = await Database.open(self.database_url)
        try:
            await KeyStore(database).revoke(key_id)
        finally:
            await database.close()

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

    async def ends(self, account: str, count: int, within_s: float = WAIT_S) -> list[tuple[str, int]]:
        """How the account's jobs ended and how many tokens each put out, once `count` are charged."""
        database = await Database.open(self.database_url)
        asked = select(LEDGER.c.end, LEDGER.c.output_tokens).where(LEDGER.c.account == account)

        async def look() -> list[tuple[str, int]]:
            async with database.reading() as connection:
                return [(end, tokens) for end, tokens in await connection.execute(asked)]

        try:
            found: list[tuple[str, int]] = await until(look, lambda ends: len(ends) >= count, within_s)
            return found
        finally:
            await database.close()

    def client(self, secret: str, url: str | None = None, timeout_s: float = WAIT_S) -> httpx2.AsyncClient:
        """A plain HTTP client of the first ingress, or of the one at `url`."""
        return httpx2.AsyncClient(
            base_url=url or self.url, headers={"authorization": f"Bearer {secret}"}, timeout=timeout_s, trust_env=False
        )

    async def metric(self, name: str, url: str | None = None, **labels: str) -> float:
        """A sample of an ingress, 0 if there is none yet."""
        async with httpx2.AsyncClient(base_url=url or self.url, trust_env=False) as http:
            text = (await http.get("/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    async def until_idle(self, url: str | None = None) -> None:
        """Returns once an ingress has no request open and no job to follow."""
        for gauge in ("penstock_ingress_requests_in_flight", "penstock_ingress_jobs_followed"):
            await until(lambda: self.metric(gauge, url), lambda value: value == 0)  # noqa: B023

    async def slots_held(self, account: str) -> int:
        """How many of the account's slots are taken, by what Redis holds."""
        async with Redis.from_url(self.redis_url) as redis:
            return int(await redis.zcard(f"penstock:in-flight:{{{account}}}"))

    async def slot_ends_ms(self, account: str) -> float:
        """When the last of the account's slots is free if nobody renews it, by Redis's clock."""
        async with Redis.from_url(self.redis_url) as redis:
            ((_, ends_ms),) = await redis.zrange(f"penstock:in-flight:{{{account}}}", -1, -1, withscores=True)
            return float(ends_ms)

    async def until_free(self, account: str, within_s: float = 5) -> None:
        await until(lambda: self.slots_held(account), lambda held: held == 0, within_s)


async def until(look: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], within_s: float = WAIT_S) -> Any:
    """What `look` sees, once it `holds`."""
    deadline = time.monotonic() + within_s
    while not holds(seen := await look()):
        assert time.monotonic() < deadline, f"after {within_s} s still {seen!r}"
        await asyncio.sleep(0.02)
    return seen
