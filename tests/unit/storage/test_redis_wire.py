import pytest

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


def test_a_url_of_another_scheme_is_refused() -> None:
    with pytest.raises(ValueError, match="redis"):
        RedisAddress.parse("http://host")
