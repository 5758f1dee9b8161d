import pytest

from ingress.unfolding import LAST_ATTEMPT, Unfolding
from schemas.chunks import Chunk, Ended, Frame, TextDelta
from schemas.usage import Usage

ENDED = Ended("completed", Usage(1, 2))


def frame(attempt: int, seq: int, *said: Chunk | str) -> Frame:
    return Frame("job", attempt, seq, [TextDelta(each) if isinstance(each, str) else each for each in said])


def unfolded(*frames: Frame, stream: bool = True) -> Unfolding:
    unfolding = Unfolding(stream)
    for each in frames:
        unfolding.add([each])
    return unfolding


def texts(unfolding: Unfolding) -> list[str]:
    return [chunk.text for chunk in unfolding.chunks if isinstance(chunk, TextDelta)]


def test_frames_that_come_twice_count_once() -> None:
    first, second = frame(1, 0, "a"), frame(1, 1, "b")
    assert texts(unfolded(first, second, first, second, frame(1, 2, "c"))) == ["a", "b", "c"]


@pytest.mark.parametrize("stream", [True, False])
def test_nothing_counts_after_the_end(stream: bool) -> None:
    unfolding = unfolded(
        frame(1, 0, "a", ENDED), frame(1, 1, "b"), frame(2, 0, Ended("failed", Usage())), stream=stream
    )
    assert unfolding.chunks == [TextDelta("a"), ENDED]
    assert unfolding.ended == ENDED


def test_a_whole_answer_starts_over_with_the_next_attempt() -> None:
    unfolding = unfolded(frame(1, 0, "a"), frame(2, 0, "b"), frame(1, 1, "late"), stream=False)
    assert texts(unfolding) == ["b"]
    assert unfolding.readable == 0
    unfolding.add([frame(2, 1, ENDED)])
    assert unfolding.readable == 2


def test_a_stream_keeps_what_was_read_and_a_later_attempt_ends_it() -> None:
    lost = Ended("failed", Usage(0, 1))
    unfolding = unfolded(frame(1, 0, "a"), frame(2, 0, lost))
    assert (unfolding.chunks, unfolding.ended, unfolding.readable) == ([TextDelta("a"), lost], lost, 2)


def test_an_end_that_an_ingress_made_stands() -> None:
    cancelled = Ended("cancelled", Usage())
    unfolding = unfolded(frame(1, 0, "a"), frame(LAST_ATTEMPT, 0, cancelled), frame(1, 1, ENDED))
    assert unfolding.ended == cancelled
