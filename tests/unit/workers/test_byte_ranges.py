"""Answers to a request for the rest of a file; the forms are RFC 9110's own (14.4)."""

import pytest

from workers.byte_ranges import asked_from, is_rest
from workers.job_engine import OnlyWhole


@pytest.mark.parametrize(
    ("status", "told", "rest"),
    [
        (206, "bytes 500-999/1000", True),
        (206, "bytes 500-999/*", True),
        (416, "bytes */500", False),
    ],
)
def test_the_rest_or_that_there_is_none(status: int, told: str, rest: bool) -> None:
    assert is_rest(status, {"Content-Range": told}, 500) is rest


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (200, None),
        (206, None),
        (206, "bytes 0-999/1000"),
        (206, "bytes 501-999/1000"),
        (206, "lines 500-999/1000"),
        (416, None),
        (416, "bytes */499"),
        (416, "bytes */1000"),
    ],
)
def test_whatever_else_is_answered_is_not_put_behind_what_is_there(status: int, told: str | None) -> None:
    with pytest.raises(OnlyWhole):
        is_rest(status, {} if told is None else {"Content-Range": told}, 500)


def test_what_is_asked_for() -> None:
    assert (asked_from(0), asked_from(500)) == ({}, {"Range": "bytes=500-"})
