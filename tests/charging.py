"""Streams as processes on a real broker, with a ledger of a test's own, and usage events to feed them."""

import asyncio
import re
import secrets
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final, Self

import httpx2
import msgspec

from penstock.part import start_part
from schemas.topics import USAGE, platform_topics
from schemas.usage import Price, Usage, UsageEvent
from storage.database import Database
from storage.kafka import LogProducer
from storage.ledger import Ledger, UsageDay
from storage.local.child import Child
from storage.local.ports import free_port
from storage.topics import make_topics

WAIT_S: Final = 60.0


class Charging:
    """A consumer group and a database that no other test has; the topic is shared, the account is not."""

    def __init__(self, kafka: str, folder: Path) -> None:
        self.kafka = kafka
        self.folder = folder
        self.account = f"acme-{secrets.token_hex(4)}"
        self.file = folder / "penstock.db"
        self.url = f"sqlite:///{self.file}"
        self._group = f"test-{secrets.token_hex(4)}"
        self._ports: dict[str, int] = {}
        self._children: dict[str, Child] = {}

    async def __aenter__(self) -> Self:
        await make_topics(self.kafka, platform_topics([], lane_partitions=1))
        self._producer = LogProducer(self.kafka, self.account)
        await self._producer.open()
        self._database = await Database.open(self.url)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in list(self._children):
            await self.kill(name)
        await self._producer.close()
        await self._database.close()

    async def start(self, name: str = "streams", **env: str) -> None:
        """Returns when it has been given its partitions."""
        self._ports[name] = free_port()
        settings = {
            "PENSTOCK_KAFKA": self.kafka,
            "PENSTOCK_DATABASE": self.url,
            "PENSTOCK_STREAMS_GROUP": self._group,
            "PENSTOCK_STREAMS_INSTANCE": name,
            "PENSTOCK_METRICS_PORT": str(self._ports[name]),
        }
        log = self.folder / f"{name}.log"
        self._children[name] = await start_part(name, ("-m", "streams"), log, {**settings, **env})

    async def kill(self, name: str = "streams") -> int:
        return await self.end(name, signal.SIGKILL)

    async def end(self, name: str, number: signal.Signals) -> int:
        """Sends the signal, waits for the end, and returns the exit code."""
        child = self._children.pop(name)
        child._process.send_signal(number)
        return await child.wait()

    def log(self, name: str = "streams") -> str:
        return (self.folder / f"{name}.log").read_text()

    async def metric(self, sample: str, name: str = "streams") -> float:
        async with httpx2.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"http://127.0.0.1:{self._ports[name]}/metrics")).text
        found = re.search(rf"^{re.escape(sample)} (\S+)$", page, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    async def publish(self, jobs: Iterable[str | bytes]) -> None:
        """One event for each job's id; bytes go as they are. Spread over all partitions."""
        values = [job if isinstance(job, bytes) else self.event(job) for job in jobs]
        sent = [await self._producer.send(USAGE, value, key=secrets.token_bytes(8)) for value in values]
        await asyncio.gather(*sent)

    def event(self, job_id: str) -> bytes:
        """An event of 100 tokens in and 10 out, at 3 and 15 dollars a million: 450 micro-dollars."""
        now_ms = time.time_ns() // 1_000_000
        return msgspec.json.encode(
            UsageEvent(
                job_id=f"{self.account}-{job_id}",
                account=self.account,
                key_id="key_1",
                model="m",
                operation="chat",
                lane="text.default",
                end="completed",
                accepted_at_ms=now_ms - 500,
                ended_at_ms=now_ms,
                queue_wait_ms=2,
                attempt=1,
                usage=Usage(input_tokens=100, output_tokens=10),
                price=Price(3_000_000, 300_000, 15_000_000),
                first_chunk_ms=100,
            )
        )

    async def usage(self) -> list[UsageDay]:
        return await Ledger(self._database).usage(self.account)

    async def charged(self) -> int:
        """How many jobs have been charged."""
        return sum(day.requests for day in await self.usage())

    async def charged_to(self, count: int) -> list[UsageDay]:
        """The account's usage, once there are `count` jobs in it."""
        await until(self.charged, lambda jobs: jobs >= count)
        return await self.usage()

    def lock(self) -> sqlite3.Connection:
        """Holds the database's write lock until the connection is closed."""
        connection = sqlite3.connect(self.file, isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        return connection


async def until(look: Callable[[], Awaitable[float]], holds: Callable[[float], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not holds(seen := await look()):
        assert time.monotonic() < deadline, f"after {WAIT_S} s still {seen!r}"
        await asyncio.sleep(0.02)
