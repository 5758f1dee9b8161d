import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import pytest

from schemas.errors import Undecidable
from storage.line import Line
from storage.local.valkey import ValkeyServer
from storage.subscription import Handler, Subscription
from tests.contract.storage.between import Between
from tests.waiting import eventually

HEARTBEAT_S = 0.3


class Ears:
    """What a subscription heard on `channel`, and how often it said that it may have missed something."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.gaps = 0

    def note_gap(self) -> None:
        self.gaps += 1


@contextlib.asynccontextmanager
async def listening(url: str, line: Line, ears: Ears, channel: str) -> AsyncIterator[Subscription]:
    subscription = Subscription(url, line, {channel: ears.heard.append}, ears.note_gap, heartbeat_s=HEARTBEAT_S)
    await subscription.open()
    try:
        yield subscription
    finally:
        await subscription.close()


async def test_once_it_is_open_every_message_is_heard_in_order(redis_url: str, line: Line) -> None:
    for attempt in range(20):
        ears = Ears()
        heard = ears.heard
        async with listening(redis_url, line, ears, f"test:{attempt}"):
            receivers = await asyncio.gather(*[line.call("PUBLISH", f"test:{attempt}", i) for i in range(100)])
            assert set(receivers) == {1}
            await eventually(lambda heard=heard: len(heard) == 100)
        assert heard == [str(i).encode() for i in range(100)]


async def test_a_subscriber_that_the_server_drops_is_back_and_says_that_it_missed_something(
    redis_url: str, line: Line
) -> None:
    ears = Ears()
    async with listening(redis_url, line, ears, "test:killed") as subscription:
        assert await line.call("CLIENT", "KILL", "TYPE", "pubsub") >= 1
        await eventually(lambda: ears.gaps == 1)
        assert subscription.hears
        assert await line.call("PUBLISH", "test:killed", "after") == 1
        await eventually(lambda: ears.heard == [b"after"])


async def test_a_deaf_subscriber_notices_and_connects_anew_once(redis_url: str, line: Line) -> None:
    """Its socket looks well, the server counts it as a receiver, and nothing comes."""
    ears = Ears()
    async with Between(redis_url) as between, listening(between.url, line, ears, "test:deaf") as subscription:
        between.muted = True
        assert await line.call("PUBLISH", "test:deaf", "into the void") == 1
        await eventually(lambda: not subscription.hears)
        between.muted = False
        await eventually(lambda: ears.gaps == 1)
        assert subscription.hears
        connections = between.connections
        await line.call("PUBLISH", "test:deaf", "after")
        await eventually(lambda: ears.heard == [b"after"])
        # A pulse later it is still the same connection.
        await asyncio.sleep(1.5 * HEARTBEAT_S)
        assert (between.connections, ears.gaps) == (connections, 1)


async def test_a_pause_of_this_process_loses_nothing(redis_url: str, line: Line) -> None:
    """Longer than it takes to be found deaf; what came meanwhile lies in the socket."""
    ears = Ears()
    async with Between(redis_url) as between, listening(redis_url, line, ears, "test:paused"):
        other = Line(between.url)
        await other.open()
        assert await other.call("PUBLISH", "test:paused", "during") == 1
        ears.heard.clear()
        await asyncio.gather(*[line.call("PUBLISH", "test:paused", i) for i in range(3)])
        time.sleep(5 * HEARTBEAT_S)  # noqa: ASYNC251 - the event loop itself is held up
        await eventually(lambda: ears.heard[-3:] == [b"0", b"1", b"2"])
        await asyncio.sleep(0.1)
        assert ears.gaps == 0
        await other.close()


async def test_a_server_paused_for_a_while_costs_neither_messages_nor_connections(redis_url: str, line: Line) -> None:
    ears = Ears()
    async with listening(redis_url, line, ears, "test:client-pause"):
        published = [line.call("PUBLISH", "test:client-pause", i) for i in range(10)]
        await line.call("CLIENT", "PAUSE", 700, "ALL")
        published += [line.call("PUBLISH", "test:client-pause", i) for i in range(10, 20)]
        assert set(await asyncio.gather(*published)) == {1}
        await eventually(lambda: ears.heard == [str(i).encode() for i in range(20)])
        assert ears.gaps == 0


async def test_a_message_that_its_handler_cannot_take_costs_the_others_nothing(
    redis_url: str, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    ears = Ears()

    def strict(payload: bytes) -> None:
        ears.heard.append(b"%d" % int(payload))

    handlers: dict[str, Handler] = {"test:strict": strict}
    subscription = Subscription(redis_url, line, handlers, ears.note_gap)
    await subscription.open()
    await asyncio.gather(*[line.call("PUBLISH", "test:strict", payload) for payload in ("1", "secret", "3")])
    await eventually(lambda: ears.heard == [b"1", b"3"])
    assert ears.gaps == 0
    (record,) = [r for r in caplog.records if r.message == "message_not_taken"]
    assert record.__dict__["size_bytes"] == len("secret")
    await subscription.close()


async def test_a_channel_it_may_not_hear_is_told_of_at_once(valkey: ValkeyServer, line: Line) -> None:
    await line.call("ACL", "SETUSER", "deaf", "on", ">pw", "+@all", "resetchannels")
    try:
        subscription = Subscription(f"redis://deaf:pw@127.0.0.1:{valkey.port}/0", line, {"c": print}, lambda: None)
        started = time.perf_counter()
        with pytest.raises(Undecidable, match="NOPERM"):
            await subscription.open()
        assert time.perf_counter() - started < 1
        await subscription.close()
    finally:
        await line.call("ACL", "DELUSER", "deaf")
