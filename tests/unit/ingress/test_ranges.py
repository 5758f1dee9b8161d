"""RFC 9110, sections 14.1.2 and 14.2, whose own examples are of a body of 10,000 bytes."""

import pytest

from ingress.ranges import NotSatisfiable, asked_range

NO_NUMBERS = ["bytes=--5", "bytes=0x1-2", "bytes=\u0660-\u0665", "bytes=" + "9" * 400 + "-"]


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-499", (0, 500)),
        ("bytes=500-999", (500, 1000)),
        ("bytes=-500", (9500, 10_000)),
        ("bytes=9500-", (9500, 10_000)),
        ("bytes=0-0", (0, 1)),
        ("bytes=-1", (9999, 10_000)),
        ("bytes=9999-20000", (9999, 10_000)),
        ("bytes=-20000", (0, 10_000)),
        ("Bytes = 0 - 499", (0, 500)),
    ],
)
def test_one_range_is_answered(header: str, span: tuple[int, int]) -> None:
    assert asked_range(header, 10_000) == span


@pytest.mark.parametrize(
    "header",
    [
        *NO_NUMBERS,
        None,
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=5-4",
        "bytes=a-b",
        "items=0-5",
        "bytes=0-0,-1",
        "bytes=1.5-2",
    ],
)
def test_what_is_no_single_range_is_answered_with_all(header: str | None) -> None:
    assert asked_range(header, 10_000) is None


@pytest.mark.parametrize(
    ("header", "size_bytes"),
    [("bytes=10000-", 10_000), ("bytes=10000-20000", 10_000), ("bytes=-0", 10_000), ("bytes=0-", 0), ("bytes=-5", 0)],
)
def test_a_range_without_a_byte_is_refused(header: str, size_bytes: int) -> None:
    with pytest.raises(NotSatisfiable):
        asked_range(header, size_bytes)
