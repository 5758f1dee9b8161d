"""No request waits without an end or a sign of life."""

import asyncio
import logging
from typing import Final

import msgspec
import pytest

from ingress.mailbox import Mailbox
from ingress.relay import GAP_S, GRACE_S, Relay, look_after
from schemas.chunks import Chunk, Ended, Frame, TextDelta
from schemas.errors import Overloaded
from schemas.usage import Usage

PING_S: Final = 15.0
STALL_S: Final = 60.0
BUDGET_S: Final = 600.0

TEXT: Final = TextDelta("a")


class Watched:
    """A mailbox and the time it was made at."""

    def __init__(self, *, whole: bool) -> None:
        self.made_at = asyncio.get_running_loop().time()
        self.box = Mailbox("job_1", self.made_at + BUDGET_S, whole=whole)

    def look_after(self, at_s: float) -> None:
        look_after(self.box, self.made_at + at_s, PING_S, STALL_S)

    async def waiting(self) -> "asyncio.Task[list[Chunk]]":
        async def take() -> list[Chunk]:
            return list(await self.box.take())

        task = asyncio.create_task(take())
        await asyncio.sleep(0)
        return task

    async def stuck(self) -> "asyncio.Task[None]":
        """Somebody who has taken a chunk and cannot get rid of it."""

        async def send() -> None:
            await self.box.take()
            await asyncio.Event().wait()

        self.box.deliver(Frame("job_1", 1, 0, [TEXT]))
        task = asyncio.create_task(send())
        await asyncio.sleep(0)
        return task


@pytest.fixture
async def stream() -> Watched:
    return Watched(whole=False)


@pytest.mark.parametrize(("at_s", "pinged"), [(PING_S - 1, False), (PING_S + 1, True)])
async def test_silence_is_filled(stream: Watched, at_s: float, pinged: bool) -> None:
    waiting = await stream.waiting()
    stream.look_after(at_s)
    await asyncio.sleep(0)
    assert waiting.done() is pinged
    waiting.cancel()


async def test_a_whole_answer_is_not_pinged() -> None:
    watched = Watched(whole=True)
    waiting = await watched.waiting()
    watched.look_after(PING_S + 1)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize("whole", [True, False])
async def test_a_deadline_that_passes_unheard_ends_the_wait(whole: bool) -> None:
    watched = Watched(whole=whole)
    watched.look_after(BUDGET_S + GRACE_S - 1)
    assert watched.box.ended is None
    watched.look_after(BUDGET_S + GRACE_S + 1)
    assert watched.box.ended is not None
    assert watched.box.ended.end == "expired"
    assert watched.box.ended.error is not None
    assert watched.box.ended.error.status == 504


async def test_a_lost_frame_ends_the_stream_with_an_error(stream: Watched) -> None:
    stream.box.deliver(Frame("job_1", 1, 1, [TEXT]))
    stream.look_after(GAP_S - 1)
    assert stream.box.ended is None
    stream.look_after(GAP_S + 1)
    assert stream.box.ended is not None
    assert stream.box.ended.error is not None
    assert stream.box.ended.error.code == "stream_cut"


async def test_a_client_that_stops_reading_is_cut(stream: Watched) -> None:
    stuck = await stream.stuck()
    stream.look_after(STALL_S - 1)
    assert not stream.box.stalled
    stream.look_after(STALL_S + 1)
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_a_client_that_stops_reading_is_cut_after_the_deadline_as_well(stream: Watched) -> None:
    stuck = await stream.stuck()
    stream.look_after(BUDGET_S + GRACE_S + 1)
    stream.look_after(BUDGET_S + GRACE_S + 2)
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_a_client_that_does_not_read_the_last_piece_is_cut(stream: Watched) -> None:
    stream.box.deliver(Frame("job_1", 1, 0, [Ended("completed", Usage())]))
    stuck = await stream.stuck()
    stream.look_after(STALL_S + 1)
    with pytest.raises(asyncio.CancelledError):
        await stuck


def published(*frames: Frame) -> bytes:
    return msgspec.msgpack.encode(frames)


async def test_one_publish_carries_frames_of_many_requests() -> None:
    relay = Relay(PING_S, STALL_S)
    one, two = relay.open("one", BUDGET_S, whole=False), relay.open("two", BUDGET_S, whole=False)
    payload = published(Frame("one", 1, 0, [TEXT]), Frame("nobody", 1, 0, [TEXT]), Frame("two", 1, 0, [TEXT]))
    relay.heard(payload)
    assert (await one.take(), await two.take()) == ([TEXT], [TEXT])


async def test_frames_for_a_request_that_is_over_are_dropped() -> None:
    relay = Relay(PING_S, STALL_S)
    box = relay.open("one", BUDGET_S, whole=False)
    relay.close("one")
    relay.heard(published(Frame("one", 1, 0, [TEXT])))
    assert not box.heard
    assert len(relay) == 0


async def test_a_publish_that_cannot_be_read_costs_nobody_else_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay(PING_S, STALL_S)
    box = relay.open("one", BUDGET_S, whole=False)
    with caplog.at_level(logging.ERROR):
        relay.heard(b"\xc1 nonsense")
        relay.heard(msgspec.msgpack.encode([["one", "not a number"]]))
    assert [record.message for record in caplog.records] == ["reply_unreadable"] * 2
    relay.heard(published(Frame("one", 1, 0, [TEXT])))
    assert await box.take() == [TEXT]


async def test_a_process_that_ends_answers_all_that_wait() -> None:
    relay = Relay(PING_S, STALL_S)
    boxes = [relay.open(job_id, BUDGET_S, whole=whole) for job_id, whole in (("one", False), ("two", True))]
    relay.fail_all(Overloaded("This ingress is stopping."))
    for box in boxes:
        (ended,) = await box.take()
        assert isinstance(ended, Ended)
        assert ended.error is not None
        assert (ended.error.status, ended.error.retryable) == (503, True)
