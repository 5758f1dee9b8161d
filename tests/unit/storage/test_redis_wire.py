import pytest

from schemas.errors import InvalidValue
from storage.redis_wire import RedisAddress, RedisWire


async def test_a_wire_that_was_lost_before_it_is_handed_over_says_so() -> None:
    """Or its new owner would wait for a loss that was told to the one before."""
    told: list[str] = []
    wire = RedisWire(lambda _: None, lambda: told.append("first"))
    wire.connection_lost(None)
    with pytest.raises(ConnectionResetError):
        wire.hand_over(lambda _: None, lambda: told.append("second"))
    assert told == ["first"]


async def test_after_the_hand_over_only_the_new_owner_is_told() -> None:
    told: list[str] = []
    wire = RedisWire(lambda _: told.append("first"), lambda: told.append("first lost"))
    wire.hand_over(lambda reply: told.append(f"second {reply}"), lambda: told.append("second lost"))
    wire.data_received(b"+OK\r\n:1")
    wire.data_received(b"2\r\n")
    wire.connection_lost(None)
    assert told == ["second b'OK'", "second 12", "second lost"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://host", RedisAddress("host", 6379, None, None, None, 0, False)),
        ("redis://user:pa%20ss@host:7/3", RedisAddress("host", 7, None, "user", "pa ss", 3, False)),
        ("rediss://:secret@host", RedisAddress("host", 6379, None, None, "secret", 0, True)),
        ("unix:///run/valkey.sock?db=2", RedisAddress("127.0.0.1", 6379, "/run/valkey.sock", None, None, 2, False)),
    ],
)
def test_an_address_is_read_from_its_url(url: str, expected: RedisAddress) -> None:
    assert RedisAddress.parse(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host:6379",
        "http://host",
        "redis://host:port",
        "redis://host:99999",
        "redis://host/name",
        "redis://host?db=name",
        "redis://[::1",
        "unix://",
    ],
)
def test_what_is_no_address_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(InvalidValue, match=r"PENSTOCK_REDIS.*redis://HOST:PORT"):
        RedisAddress.parse(url)


def test_a_password_that_makes_an_address_unreadable_is_not_shown() -> None:
    with pytest.raises(InvalidValue, match="%23") as refused:
        RedisAddress.parse("redis://user:swordfish#1@host:6379")
    assert "swordfish" not in str(refused.value)
    assert refused.value.__suppress_context__
