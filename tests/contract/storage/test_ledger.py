import asyncio
from datetime import UTC, date, datetime

import msgspec

from schemas.usage import Price, Usage, UsageEvent
from storage.database import Database
from storage.ledger import Charge, Ledger, UsageDay

NOON_MS = int(datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000


def charge(
    job_id: str, *, account: str = "acme", model: str = "m", ended_at_ms: int = NOON_MS, cost: int = 5
) -> Charge:
    event = UsageEvent(
        job_id=job_id,
        account=account,
        key_id="key_1",
        model=model,
        operation="chat",
        lane="text.default",
        end="completed",
        accepted_at_ms=ended_at_ms - 900,
        ended_at_ms=ended_at_ms,
        queue_wait_ms=3,
        attempt=1,
        usage=Usage(10, 20, 4, reasoning_tokens=2, estimated=True, cache_written_input_tokens=3),
        price=Price(100, 50, 400, 125, 200),
        first_chunk_ms=120,
        error_code=None,
    )
    return Charge(event, cost)


async def test_a_charge_comes_back_whole(database: Database) -> None:
    ledger = Ledger(database)
    assert await ledger.take([charge("a")]) == {"a"}
    assert await ledger.row("a") == charge("a")
    assert await ledger.row("b") is None


async def test_a_failure_before_the_first_chunk_comes_back_whole(database: Database) -> None:
    ledger = Ledger(database)
    event = msgspec.structs.replace(
        charge("a").event, end="failed", error_code="engine_failed", first_chunk_ms=None, usage=Usage()
    )
    await ledger.take([Charge(event, 0)])
    assert await ledger.row("a") == Charge(event, 0)


async def test_a_job_is_charged_once_however_often_it_is_offered(database: Database) -> None:
    ledger = Ledger(database)
    assert await ledger.take([charge("a"), charge("b"), charge("a", cost=7)]) == {"a", "b"}
    assert await ledger.take([charge("a", cost=9), charge("c")]) == {"c"}
    kept = await ledger.row("a")
    assert kept is not None
    assert kept.cost_microusd == 5
    (day,) = await ledger.usage("acme")
    assert (day.requests, day.cost_microusd) == (3, 15)


async def test_nothing_to_take_is_nothing_new(database: Database) -> None:
    assert await Ledger(database).take([]) == set()


async def test_large_batches_from_several_writers_are_taken_whole(database: Database) -> None:
    ledger = Ledger(database)
    batches = [[charge(f"{number}") for number in range(start, start + 1500)] for start in (0, 1000, 2000)]
    new = await asyncio.gather(*(ledger.take(batch) for batch in batches))
    assert sum(len(jobs) for jobs in new) == 3500
    (day,) = await ledger.usage("acme")
    assert day.requests == 3500


async def test_usage_is_grouped_by_utc_day_and_model_and_is_one_accounts_own(database: Database) -> None:
    ledger = Ledger(database)
    midnight_ms = int(datetime(2026, 11, 23, tzinfo=UTC).timestamp() * 1000)
    await ledger.take(
        [
            charge("a", model="z"),
            charge("b", model="m", ended_at_ms=midnight_ms - 1),
            charge("c", model="m", ended_at_ms=midnight_ms),
            charge("d", model="m"),
            charge("e", account="other"),
        ]
    )
    assert await ledger.usage("acme") == [
        UsageDay("2026-11-22", "m", 2, 20, 8, 40, 10, 0, ""),
        UsageDay("2026-11-22", "z", 1, 10, 4, 20, 5, 0, ""),
        UsageDay("2026-11-23", "m", 1, 10, 4, 20, 5, 0, ""),
    ]
    assert await ledger.usage("nobody") == []


async def test_usage_is_asked_for_a_range_of_days_with_both_its_ends(database: Database) -> None:
    ledger = Ledger(database)
    await ledger.take([charge(str(day), ended_at_ms=NOON_MS + day * DAY_MS) for day in range(5)])
    days = await ledger.usage("acme", since_day=date(2026, 11, 23), until_day=date(2026, 11, 25))
    assert [day.day for day in days] == ["2026-11-23", "2026-11-24", "2026-11-25"]


async def test_sums_are_exact_beyond_what_a_double_holds(database: Database) -> None:
    ledger = Ledger(database)
    await ledger.take([charge("a", cost=2**53), charge("b", cost=1)])
    (day,) = await ledger.usage("acme")
    assert day.cost_microusd == 2**53 + 1
    assert type(day.cost_microusd) is int
