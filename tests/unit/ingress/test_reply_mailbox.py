"""One request's frames, in order, once, whatever comes late, twice or never."""

import asyncio

import pytest

from ingress.mailbox import MOST_CHUNKS_WAITING, MOST_SOUND_WAITING_BYTES, Mailbox
from schemas.chunks import Chunk, Ended, Finish, Frame, TextDelta
from schemas.errors import Cancelled, DeadlineExceeded, WorkerLost
from schemas.media_chunks import Audio
from schemas.usage import UNCOUNTED, Usage

COMPLETED = Ended("completed", Usage(3, 2))
LOST = Ended("failed", Usage(3, 2), WorkerLost("lost").data())


def frame(seq: int, *chunks: Chunk, attempt: int = 1) -> Frame:
    return Frame("job_1", attempt, seq, chunks)


def text(content: str) -> TextDelta:
    return TextDelta(content)


@pytest.fixture
async def stream() -> Mailbox:
    return Mailbox("job_1", asyncio.get_running_loop().time() + 60, whole=False)


@pytest.fixture
async def whole() -> Mailbox:
    return Mailbox("job_1", asyncio.get_running_loop().time() + 60, whole=True)


async def taker(box: Mailbox) -> "asyncio.Task[list[Chunk]]":
    """Somebody who waits for the box's chunks."""

    async def take() -> list[Chunk]:
        return list(await box.take())

    task = asyncio.create_task(take())
    await asyncio.sleep(0)
    return task


async def test_chunks_are_taken_in_the_order_of_their_frames(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("a"), text("b")))
    stream.deliver(frame(1, text("c")))
    assert await stream.take() == [text("a"), text("b"), text("c")]


async def test_a_frame_that_comes_twice_counts_once(stream: Mailbox) -> None:
    for delivered in (frame(0, text("a")), frame(0, text("a")), frame(1, text("b")), frame(0, text("a"))):
        stream.deliver(delivered)
    assert await stream.take() == [text("a"), text("b")]


async def test_a_frame_that_comes_early_waits_for_those_before_it(stream: Mailbox) -> None:
    waiting = await taker(stream)
    stream.deliver(frame(2, text("c")))
    stream.deliver(frame(1, text("b")))
    await asyncio.sleep(0)
    assert not waiting.done()
    stream.deliver(frame(0, text("a")))
    assert await waiting == [text("a"), text("b"), text("c")]


async def test_a_gap_is_counted_from_the_first_frame_behind_it_until_it_is_closed(stream: Mailbox) -> None:
    now = asyncio.get_running_loop().time()
    assert stream.gap_s(now + 5) == 0
    stream.deliver(frame(1, text("b")))
    assert stream.gap_s(now + 5) == pytest.approx(5, abs=0.5)
    stream.deliver(frame(0, text("a")))
    assert stream.gap_s(now + 5) == 0


async def test_a_second_gap_has_a_time_of_its_own(stream: Mailbox) -> None:
    stream.deliver(frame(1, text("b")))
    stream.deliver(frame(3, text("d")))
    await asyncio.sleep(0.05)
    stream.deliver(frame(0, text("a")))
    assert stream.gap_s(asyncio.get_running_loop().time()) < 0.04


async def test_an_attempt_replaces_what_nobody_has_taken(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("first try")))
    stream.deliver(frame(0, text("second"), attempt=2))
    stream.deliver(frame(1, text("first try goes on")))
    assert await stream.take() == [text("second")]


async def test_a_second_attempt_never_interleaves_with_what_was_taken(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("first")))
    await stream.take()
    stream.deliver(frame(0, text("second"), attempt=2))
    (ended,) = await stream.take()
    assert isinstance(ended, Ended)
    assert ended.error is not None
    assert ended.error.code == "worker_lost"
    assert not stream.ended_by_worker


async def test_a_second_attempt_that_brings_text_and_the_end_in_one_frame_does_not_interleave_either(
    stream: Mailbox,
) -> None:
    stream.deliver(frame(0, text("first")))
    await stream.take()
    stream.deliver(frame(0, text("second"), Finish("stop"), COMPLETED, attempt=2))
    (ended,) = await stream.take()
    assert isinstance(ended, Ended)
    assert ended.error is not None


async def test_a_second_attempt_may_end_what_the_first_began(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("first")))
    await stream.take()
    stream.deliver(frame(0, LOST, attempt=2))
    assert await stream.take() == [LOST]
    assert stream.ended_by_worker


async def test_nothing_is_accepted_after_the_end(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("a"), COMPLETED))
    stream.deliver(frame(1, text("b")))
    stream.deliver(frame(0, text("again"), attempt=2))
    stream.fail(DeadlineExceeded("late"))
    assert await stream.take() == [text("a"), COMPLETED]
    assert stream.ended == COMPLETED


async def test_a_whole_answer_is_taken_at_its_end_and_of_one_attempt(whole: Mailbox) -> None:
    waiting = await taker(whole)
    whole.deliver(frame(0, text("first")))
    await asyncio.sleep(0)
    assert not waiting.done()
    whole.deliver(frame(0, text("second"), Finish("stop"), COMPLETED, attempt=2))
    assert await waiting == [text("second"), Finish("stop"), COMPLETED]


async def test_a_failure_from_this_side_ends_the_wait_and_what_the_worker_says_after_it_is_late(whole: Mailbox) -> None:
    waiting = await taker(whole)
    whole.fail(DeadlineExceeded("late"), "expired")
    whole.deliver(frame(0, COMPLETED))
    (ended,) = await waiting
    assert isinstance(ended, Ended)
    assert (ended.end, ended.usage) == ("expired", UNCOUNTED)
    assert not whole.ended_by_worker


async def test_a_client_that_leaves_wakes_whoever_takes(stream: Mailbox) -> None:
    waiting = await taker(stream)
    stream.leave()
    with pytest.raises(Cancelled):
        await waiting


async def test_a_client_that_left_while_it_was_being_sent_to_is_not_waited_for(stream: Mailbox) -> None:
    stream.deliver(frame(0, text("a")))
    await stream.take()
    stream.leave()
    with pytest.raises(Cancelled):
        async with asyncio.timeout(1):
            await stream.take()


async def test_a_sign_of_life_is_a_take_of_nothing(stream: Mailbox) -> None:
    waiting = await taker(stream)
    stream.wake()
    assert await waiting == []


async def test_silence_is_counted_for_a_stream_that_waits_and_for_nothing_else(stream: Mailbox, whole: Mailbox) -> None:
    now = asyncio.get_running_loop().time()
    assert stream.silent_s(now + 20) == pytest.approx(20, abs=0.5)
    assert whole.silent_s(now + 20) == 0
    stream.deliver(frame(0, text("a")))
    assert stream.silent_s(now + 20) == 0


async def test_a_stall_is_counted_from_a_take_to_the_next(stream: Mailbox) -> None:
    now = asyncio.get_running_loop().time()
    assert stream.stalled_s(now + 70) == 0, "nobody has taken anything yet"
    stream.deliver(frame(0, text("a")))
    await stream.take()
    assert stream.stalled_s(now + 70) == pytest.approx(70, abs=0.5)
    waiting = await taker(stream)
    assert stream.stalled_s(now + 70) == 0
    stream.deliver(frame(1, COMPLETED))
    assert await waiting == [COMPLETED]
    assert stream.stalled_s(now + 70) == pytest.approx(70, abs=0.5), "the last piece may be stuck as well"
    stream.let_go()
    assert stream.stalled_s(now + 70) == 0


async def test_a_client_far_behind_the_engine_is_cut(stream: Mailbox) -> None:
    async def send_for_ever() -> None:
        await stream.take()
        await asyncio.Event().wait()

    stream.deliver(frame(0, text("a")))
    sending = asyncio.create_task(send_for_ever())
    await asyncio.sleep(0)
    stream.deliver(frame(1, *[text("b")] * MOST_CHUNKS_WAITING))
    assert not stream.stalled
    stream.deliver(frame(2, text("c")))
    assert stream.stalled
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_client_far_behind_in_sound_is_cut_and_one_that_reads_is_not(stream: Mailbox) -> None:
    half = Audio(bytes(MOST_SOUND_WAITING_BYTES // 2))
    for seq in range(0, 6, 2):
        stream.deliver(frame(seq, half))
        stream.deliver(frame(seq + 1, half))
        assert len(await stream.take()) == 2
    assert not stream.stalled
    stream.let_go()
    for seq in range(6, 9):
        stream.deliver(frame(seq, half))
    assert stream.stalled


async def test_a_whole_answer_may_be_of_any_length(whole: Mailbox) -> None:
    waiting = await taker(whole)
    for seq in range(3):
        whole.deliver(frame(seq, *[text("b")] * MOST_CHUNKS_WAITING))
    whole.deliver(frame(3, Finish("stop"), COMPLETED))
    assert len(await waiting) == 3 * MOST_CHUNKS_WAITING + 2
    assert not whole.stalled


async def test_the_choices_that_are_complete_are_counted_for_the_attempt_that_stands(stream: Mailbox) -> None:
    stream.deliver(frame(0, Finish("stop", 0), Finish("stop", 1)))
    assert stream.finished == 2
    stream.deliver(frame(0, Finish("stop", 0), attempt=2))
    assert stream.finished == 1


async def test_the_end_of_an_abandoned_job_is_waited_for_past_what_comes_before(stream: Mailbox) -> None:
    ended = asyncio.create_task(stream.until_ended())
    for seq in range(3):
        stream.deliver(frame(seq, text("a")))
        await asyncio.sleep(0)
        assert not ended.done()
    stream.deliver(frame(3, COMPLETED))
    await ended
    assert stream.ended == COMPLETED
