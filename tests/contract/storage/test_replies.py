import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec
import pytest

from schemas.chunks import Frame, TextDelta
from storage import replies
from storage.line import Line
from storage.replies import (
    BACKLOG_LIMIT_BYTES,
    PACE_BYTES_PER_S,
    PUBLISH_LIMIT_BYTES,
    ROOM_BYTES,
    Outboxes,
    decode_frames,
    reply_channel,
)
from storage.subscription import Subscription
from tests.contract.storage.between import Between
from tests.waiting import eventually


class Ingress:
    """What an ingress process hears on its reply channel, publish by publish."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self.channel = reply_channel(secrets.token_hex(4))
        self.publishes: list[list[Frame]] = []
        self.sizes: list[int] = []

    def _hear(self, payload: bytes) -> None:
        self.sizes.append(len(payload))
        self.publishes.append(decode_frames(payload))

    @property
    def frames(self) -> list[Frame]:
        return [frame for frames in self.publishes for frame in frames]

    def seqs(self, job_id: str = "job") -> list[int]:
        return [frame.seq for frame in self.frames if frame.job_id == job_id]

    @contextlib.asynccontextmanager
    async def listening(self, line: Line) -> AsyncIterator[None]:
        subscription = Subscription(self._url, line, {self.channel: self._hear}, lambda: None)
        await subscription.open()
        try:
            yield
        finally:
            await subscription.close()


def frame(seq: int, job_id: str = "job", text: str = "x") -> Frame:
    return Frame(job_id, 1, seq, [TextDelta(text)])


@pytest.fixture
def ingress(redis_url: str) -> Ingress:
    return Ingress(redis_url)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds of patience are for people."""
    monkeypatch.setattr(replies, "PATIENCE_S", 0.5)


def without_repeats(seqs: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(seqs))


async def test_what_is_ready_in_one_turn_leaves_in_one_publish(line: Line, ingress: Ingress) -> None:
    async with ingress.listening(line):
        boxes = Outboxes(line, lambda _: None)
        for job in range(10):
            boxes.post(ingress.channel, frame(0, f"job-{job}"))
        await asyncio.sleep(0)
        boxes.post(ingress.channel, frame(1, "job-0"))
        await boxes.drain(5)
        await eventually(lambda: len(ingress.frames) == 11)
    assert [len(frames) for frames in ingress.publishes] == [10, 1]


async def test_a_chunk_does_not_wait_for_the_publish_before_it(line: Line, ingress: Ingress) -> None:
    """With Redis held up, all of them are on their way before the first is answered."""
    async with ingress.listening(line):
        boxes = Outboxes(line, lambda _: None)
        await line.call("CLIENT", "PAUSE", 300, "ALL")
        for seq in range(5):
            boxes.post(ingress.channel, frame(seq))
            await asyncio.sleep(0.01)
        assert len(line._waiting) >= 5
        await boxes.drain(5)
        await eventually(lambda: ingress.seqs() == [0, 1, 2, 3, 4])


async def test_frames_wait_for_an_ingress_that_is_not_there_yet(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    for seq in range(20):
        boxes.post(ingress.channel, frame(seq))
        await asyncio.sleep(0.005)
    async with ingress.listening(line):
        await boxes.drain(5)
        await eventually(lambda: len(ingress.frames) >= 20)
    assert ingress.seqs() == list(range(20))


async def test_nothing_is_lost_while_connections_are_cut_again_and_again(redis_url: str, ingress: Ingress) -> None:
    """What is repeated may come twice; what comes first comes in order."""
    async with Between(redis_url) as between, contextlib.AsyncExitStack() as stack:
        worker, listener = Line(between.url), Line(redis_url)
        for line in (worker, listener):
            await line.open()
            stack.push_async_callback(line.close)
        await stack.enter_async_context(ingress.listening(listener))
        boxes = Outboxes(worker, lambda _: pytest.fail("given up"))
        for seq in range(400):
            boxes.post(ingress.channel, frame(seq))
            if seq % 100 == 50:
                between.cut()
            if seq % 100 == 90:
                # What Redis has taken for a connection that is dropped is lost, so nothing may be on its way.
                await eventually(lambda seq=seq: seq in ingress.seqs())
                await listener.call("CLIENT", "KILL", "TYPE", "pubsub")
            await asyncio.sleep(0.001)
        await boxes.drain(10)
        await eventually(lambda: set(ingress.seqs()) == set(range(400)))
    assert without_repeats(ingress.seqs()) == list(range(400))


async def test_several_jobs_share_a_channel_and_each_stays_in_order(line: Line, ingress: Ingress) -> None:
    async with ingress.listening(line):
        boxes = Outboxes(line, lambda _: None)
        for seq in range(200):
            for job in ("a", "b", "c"):
                boxes.post(ingress.channel, frame(seq, job))
            if seq % 3 == 0:
                await asyncio.sleep(0)
            if seq == 100:
                await eventually(lambda: 100 in ingress.seqs("c"))
                await line.call("CLIENT", "KILL", "TYPE", "pubsub")
        await boxes.drain(10)
        await eventually(lambda: len(set(ingress.seqs("c"))) == 200)
    for job in ("a", "b", "c"):
        assert without_repeats(ingress.seqs(job)) == list(range(200))


async def test_a_publish_stays_below_its_limit_unless_one_frame_is_larger(line: Line, ingress: Ingress) -> None:
    async with ingress.listening(line):
        boxes = Outboxes(line, lambda _: None)
        for seq in range(10):
            boxes.post(ingress.channel, frame(seq, text="x" * 200_000))
        boxes.post(ingress.channel, frame(10, text="y" * 4_000_000))
        boxes.post(ingress.channel, frame(11))
        await boxes.drain(10)
        await eventually(lambda: len(ingress.frames) == 12)
    assert ingress.seqs() == list(range(12))
    assert [len(frames) for frames in ingress.publishes] == [2, 2, 2, 2, 2, 1, 1]
    assert sorted(ingress.sizes)[-2] <= PUBLISH_LIMIT_BYTES + 100
    assert ingress.frames[10].chunks[0] == TextDelta("y" * 4_000_000)


async def test_a_frame_that_cannot_be_encoded_fails_alone(line: Line, ingress: Ingress) -> None:
    async with ingress.listening(line):
        boxes = Outboxes(line, lambda _: None)
        boxes.post(ingress.channel, frame(0))
        with pytest.raises(OverflowError):
            boxes.post(ingress.channel, Frame("other", 1, 0, [TextDelta("x", 0, [{"logprob": 2**70}])]))
        boxes.post(ingress.channel, frame(1))
        await boxes.drain(5)
        await eventually(lambda: ingress.seqs() == [0, 1])


@pytest.mark.usefixtures("impatient")
async def test_a_channel_that_nobody_hears_is_given_up_and_used_again_when_somebody_does(
    line: Line, ingress: Ingress
) -> None:
    gone: list[str] = []
    boxes = Outboxes(line, gone.append)
    boxes.post(ingress.channel, frame(0))
    await eventually(lambda: gone == [ingress.channel])
    async with ingress.listening(line):
        boxes.post(ingress.channel, frame(0, "next"))
        await boxes.drain(5)
        await eventually(lambda: ingress.seqs("next") == [0])
    assert ingress.seqs("job") == []
    assert gone == [ingress.channel]


@pytest.mark.usefixtures("impatient")
async def test_one_deaf_channel_holds_up_no_other(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    boxes.post(reply_channel("nobody"), frame(0))
    async with ingress.listening(line):
        await asyncio.sleep(0.05)
        boxes.post(ingress.channel, frame(0))
        await eventually(lambda: ingress.seqs() == [0], within_s=0.3)
    await boxes.drain(0)


async def test_a_backlog_that_grows_too_large_is_given_up_before_patience_ends(line: Line, ingress: Ingress) -> None:
    gone: list[str] = []
    boxes = Outboxes(line, gone.append)
    posted_bytes = 0
    while not gone:
        assert posted_bytes <= BACKLOG_LIMIT_BYTES + 1_000_000
        boxes.post(ingress.channel, frame(posted_bytes, text="x" * 400_000))
        posted_bytes += 400_000
        await asyncio.sleep(0)
    async with ingress.listening(line):
        # What was on its way when the rest was given up must not pass for what is posted now.
        for seq in range(30):
            boxes.post(ingress.channel, frame(seq, "next"))
            await asyncio.sleep(0)
        await boxes.drain(5)
        await eventually(lambda: len(ingress.seqs("next")) >= 30)
    assert without_repeats(ingress.seqs("next")) == list(range(30))


async def test_who_can_wait_is_held_up_while_much_is_unheard(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    await boxes.room(ingress.channel)
    boxes.post(ingress.channel, frame(0, text="x" * (ROOM_BYTES + 1)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(boxes.room(ingress.channel))
    await asyncio.sleep(2 * replies.REPEAT_S)
    assert not waiting.done()
    async with ingress.listening(line), asyncio.timeout(5):
        await waiting
        await eventually(lambda: ingress.seqs() == [0])


async def test_who_waits_for_room_goes_on_when_nobody_listens(line: Line, ingress: Ingress, impatient: None) -> None:
    boxes = Outboxes(line, lambda _: None)
    boxes.post(ingress.channel, frame(0, text="x" * (ROOM_BYTES + 1)))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await boxes.room(ingress.channel)


async def test_megabytes_go_out_at_a_pace(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    loop = asyncio.get_running_loop()
    async with ingress.listening(line):
        began = loop.time()
        for seq in range(16):
            boxes.post(ingress.channel, frame(seq, text="x" * 500_000))
            await asyncio.sleep(0)
            await boxes.room(ingress.channel)
        # The last of it may go out a moment before its time has come.
        assert loop.time() - began >= (16 * 500_000 - 2 * ROOM_BYTES) / PACE_BYTES_PER_S
        await eventually(lambda: without_repeats(ingress.seqs()) == list(range(16)))


async def test_drain_waits_no_longer_than_it_is_told(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    boxes.post(ingress.channel, frame(0))
    async with asyncio.timeout(1):
        await boxes.drain(0.2)


async def test_outboxes_that_are_not_used_are_forgotten(line: Line, ingress: Ingress) -> None:
    boxes = Outboxes(line, lambda _: None)
    async with ingress.listening(line):
        boxes.post(ingress.channel, frame(0))
        boxes.sweep(unused_s=0)
        assert len(boxes._boxes) == 1, "what waits is not forgotten"
        await eventually(lambda: ingress.seqs() == [0])
        await boxes.drain(5)
        boxes.sweep(unused_s=60)
        assert len(boxes._boxes) == 1
        boxes.sweep(unused_s=0)
        assert not boxes._boxes


def test_frames_are_what_msgpack_makes_of_a_list_of_them() -> None:
    frames = [frame(0), frame(1)]
    assert decode_frames(msgspec.msgpack.encode(frames)) == frames


def test_what_is_no_list_of_frames_is_refused() -> None:
    read: Callable[[bytes], list[Frame]] = decode_frames
    with pytest.raises(msgspec.DecodeError):
        read(b"\xc1")
