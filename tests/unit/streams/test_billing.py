import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from schemas.errors import Undecidable
from schemas.usage import Price, Usage, UsageEvent
from storage.database import Database
from storage.ledger import Ledger
from storage.migrate import migrate
from streams.billing import Billing
from streams.intake import Record
from streams.telemetry import Telemetry


class Pile:
    """Where the dead letters of a test lie; out of reach for the first `failures` tries."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.letters: list[tuple[int, str]] = []

    async def put(self, record: Record, reason: str) -> None:
        if self.failures:
            self.failures -= 1
            raise Undecidable("away")
        self.letters.append((record.offset, reason))


def record(offset: int, value: bytes | None = None, *, model: str = "m") -> Record:
    event = UsageEvent(
        job_id=f"job_{offset}",
        account="acme",
        key_id="key_1",
        model=model,
        operation="chat",
        lane="text.default",
        end="completed",
        accepted_at_ms=1_790_000_000_000,
        ended_at_ms=1_790_000_001_000,
        queue_wait_ms=2,
        attempt=1,
        usage=Usage(input_tokens=10, output_tokens=5),
        price=Price(1_000_000, 0, 2_000_000),
    )
    return Record("penstock.usage", 0, offset, 1, msgspec.json.encode(event) if value is None else value, ())


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/penstock.db"
    migrate(url)
    opened = await Database.open(url, busy_timeout_s=0.01)
    yield opened
    await opened.close()


async def test_what_is_no_event_is_set_aside_and_the_others_are_charged(database: Database) -> None:
    ledger, pile = Ledger(database), Pile(failures=2)
    await Billing(ledger, pile, Telemetry()).settle([record(0), record(1, b"nonsense"), record(2)])
    assert [(day.requests, day.cost_microusd) for day in await ledger.usage("acme")] == [(2, 40)]
    ((offset, reason),) = pile.letters
    assert offset == 1
    assert reason.startswith("Not a usage event")


async def test_a_batch_is_tried_until_the_database_is_back(database: Database, tmp_path: Path) -> None:
    ledger = Ledger(database)
    billing = Billing(ledger, Pile(), Telemetry())
    other = sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    settling = asyncio.create_task(billing.settle([record(0), record(1)]))
    async with asyncio.timeout(10):
        while billing.attempts < 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert not settling.done()
    assert await ledger.row("job_0") is None
    other.execute("ROLLBACK")
    other.close()
    await settling
    assert await ledger.row("job_0") is not None
    assert await ledger.row("job_1") is not None


async def test_an_event_that_comes_again_is_counted_once(database: Database) -> None:
    billing = Billing(Ledger(database), Pile(), Telemetry())
    repeats = REGISTRY.get_sample_value("penstock_streams_repeated_events_total") or 0
    await billing.settle([record(0, model="counted"), record(1, model="counted")])
    await billing.settle([record(1, model="counted"), record(2, model="counted"), record(2, model="counted")])
    assert REGISTRY.get_sample_value("penstock_streams_repeated_events_total") == repeats + 2
    counted = {"model": "counted", "end": "completed"}
    assert REGISTRY.get_sample_value("penstock_usage_requests_total", counted) == 3
    assert REGISTRY.get_sample_value("penstock_usage_cost_microusd_total", {"model": "counted"}) == 60
