import json
from typing import Any

import pytest

from schemas.errors import InvalidValue
from schemas.usage import Price, Usage, UsageEvent
from streams.events import read_event

WIRE: dict[str, Any] = {
    "job_id": "job_1",
    "account": "acme",
    "key_id": "key_1",
    "model": "m",
    "operation": "chat",
    "lane": "text.default",
    "end": "completed",
    "accepted_at_ms": 1_790_000_000_000,
    "ended_at_ms": 1_790_000_001_000,
    "queue_wait_ms": 2,
    "attempt": 1,
    "usage": [10, 20, 4, 2, True],
    "price": [100, 50, 400],
}


def test_an_event_is_read() -> None:
    assert read_event(json.dumps({**WIRE, "first_chunk_ms": 7}).encode()) == UsageEvent(
        job_id="job_1",
        account="acme",
        key_id="key_1",
        model="m",
        operation="chat",
        lane="text.default",
        end="completed",
        accepted_at_ms=1_790_000_000_000,
        ended_at_ms=1_790_000_001_000,
        queue_wait_ms=2,
        attempt=1,
        usage=Usage(10, 20, 4, 2, True),
        price=Price(100, 50, 400),
        first_chunk_ms=7,
        error_code=None,
    )


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"\xff\xfe",
        b"{",
        b'{"job_id": "\xff"}',
        json.dumps({k: v for k, v in WIRE.items() if k != "usage"}).encode(),
        json.dumps({**WIRE, "surprise": 1}).encode(),
        json.dumps({**WIRE, "end": "exploded"}).encode(),
        json.dumps({**WIRE, "usage": [1.5, 0]}).encode(),
        json.dumps({**WIRE, "usage": [10**40, 0]}).encode(),
    ],
)
def test_what_is_no_event_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidValue):
        read_event(value)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"job_id": ""}, "job_id"),
        ({"account": "a\0b"}, "account"),
        ({"model": "m" * 257}, "model"),
        ({"error_code": "\0"}, "error_code"),
        ({"ended_at_ms": 253_402_300_800_000}, "ended_at_ms"),
        ({"accepted_at_ms": -1}, "accepted_at_ms"),
        ({"queue_wait_ms": 2**63}, "queue_wait_ms"),
        ({"first_chunk_ms": -1}, "first_chunk_ms"),
        ({"usage": [-1, 0]}, "input_tokens"),
        ({"usage": [0, 2**63]}, "output_tokens"),
        ({"price": [0, -1, 0]}, "cached_input_microusd_per_mtok"),
    ],
)
def test_what_no_database_takes_is_refused_by_name(change: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_event(json.dumps({**WIRE, **change}).encode())
    assert refused.value.param == param
