from datetime import UTC, datetime

import pytest

from schemas.usage import Price, Usage, UsageEvent
from storage.ledger import Charge
from tests.front import Front

PRICE = Price(1_000_000, 500_000, 2_000_000)


def charge(job_id: str, account: str, model: str, day: str, cost_microusd: int) -> Charge:
    ended_at_ms = int(datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC).timestamp() * 1000)
    return Charge(
        UsageEvent(
            job_id=job_id,
            account=account,
            key_id="key_1",
            model=model,
            operation="chat",
            lane="text.default",
            end="completed",
            accepted_at_ms=ended_at_ms - 1000,
            ended_at_ms=ended_at_ms,
            queue_wait_ms=1,
            attempt=1,
            usage=Usage(input_tokens=10, output_tokens=5, cached_input_tokens=4),
            price=PRICE,
        ),
        cost_microusd,
    )


@pytest.fixture
async def charged(front: Front) -> Front:
    await front.ledger.take(
        [
            charge("job_1", "acme", "one", "2026-11-20", 18),
            charge("job_2", "acme", "one", "2026-11-20", 18),
            charge("job_3", "acme", "org/two", "2026-11-21", 18),
            charge("job_4", "acme", "one", "2026-11-22", 18),
            charge("job_5", "other", "one", "2026-11-20", 18),
        ]
    )
    return front


async def test_usage_is_the_accounts_own_by_day_and_model(charged: Front) -> None:
    answer = await charged.http.get("/v1/usage", headers={"x-api-key": await charged.secret("other")})
    assert answer.json() == {
        "object": "list",
        "data": [
            {
                "day": "2026-11-20",
                "model": "one",
                "requests": 1,
                "input_tokens": 10,
                "cached_input_tokens": 4,
                "output_tokens": 5,
                "cost_microusd": 18,
                "units": 0,
                "unit": "",
            }
        ],
    }


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", [("2026-11-20", 2), ("2026-11-21", 1), ("2026-11-22", 1)]),
        ("?start_day=2026-11-21", [("2026-11-21", 1), ("2026-11-22", 1)]),
        ("?end_day=2026-11-20", [("2026-11-20", 2)]),
        ("?start_day=2026-11-21&end_day=2026-11-21", [("2026-11-21", 1)]),
        ("?start_day=2027-01-01", []),
    ],
)
async def test_a_range_includes_both_its_days(charged: Front, query: str, rows: list[tuple[str, int]]) -> None:
    answer = await charged.http.get(f"/v1/usage{query}", headers={"x-api-key": await charged.secret()})
    assert [(row["day"], row["requests"]) for row in answer.json()["data"]] == rows


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("start_day=yesterday", "start_day"),
        ("end_day=2026-02-30", "end_day"),
        ("end_day=20261122", "end_day"),
        ("end_day=2026-W47-7", "end_day"),
        ("start_day=", "start_day"),
        ("start_day=0000-00-00", "start_day"),
        ("start_day=2026-11-22&end_day=2026-11-21", "start_day"),
    ],
)
async def test_a_range_that_is_none_is_refused_by_name(front: Front, query: str, param: str) -> None:
    answer = await front.http.get(f"/v1/usage?{query}", headers={"x-api-key": await front.secret()})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param)
