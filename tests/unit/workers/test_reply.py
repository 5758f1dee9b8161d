from typing import cast

import pytest

from schemas.chat import Chat, Message, Text
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Delta,
    Ended,
    Finish,
    Frame,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.errors import StreamCut
from schemas.jobs import Job
from schemas.usage import Price, Usage
from storage.replies import ENCODER, Outboxes
from workers.reply import Reply

CHAT = Chat((Message("user", (Text("hi"),)),))
DONE = Ended("completed", Usage(1, 2))
FAILED = Ended("failed", Usage(1, 2), StreamCut("cut").data())


class Posted:
    """Takes frames as the outboxes do."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    def post(self, channel: str, frame: Frame) -> None:
        assert channel == "channel"
        self.frames.append(frame)

    @property
    def chunks(self) -> list[Chunk]:
        return [chunk for frame in self.frames for chunk in frame.chunks]


@pytest.fixture
def posted() -> Posted:
    return Posted()


def reply(posted: Posted, *, stream: bool) -> Reply:
    job = Job("job_1", "acme", "key_1", "m", "chat", "text.default", 0, 60_000, "channel", stream, Price(), CHAT)
    return Reply(cast(Outboxes, posted), job, 3)


def test_a_streams_batches_leave_as_they_come_numbered_from_zero(posted: Posted) -> None:
    out = reply(posted, stream=True)
    out.add((TextDelta("a"), TextDelta("b")), 1.23456)
    out.add((Finish("stop"), UsageReport(Usage(1, 2))), 2)
    out.end(DONE, 3)
    assert posted.frames == [
        Frame("job_1", 3, 0, [TextDelta("a"), TextDelta("b")], 1.235),
        Frame("job_1", 3, 1, [Finish("stop")], 2),
        Frame("job_1", 3, 2, [DONE], 3),
    ]


def test_a_batch_that_only_counts_is_no_frame_and_takes_no_number(posted: Posted) -> None:
    out = reply(posted, stream=True)
    out.add((UsageReport(Usage(1, 1)),), 1)
    out.add((TextDelta("a"),), 1)
    assert [frame.seq for frame in posted.frames] == [0]


def test_a_whole_reply_leaves_with_its_end_and_neighbours_are_joined(posted: Posted) -> None:
    out = reply(posted, stream=False)
    for piece in "Hello":
        out.add((TextDelta(piece),), 1)
    out.add((Finish("stop"), UsageReport(Usage(1, 2))), 1)
    assert posted.frames == []
    out.end(DONE, 2)
    assert posted.frames == [Frame("job_1", 3, 0, [TextDelta("Hello"), Finish("stop"), DONE], 2)]


def test_choices_that_come_in_turns_are_joined_each(posted: Posted) -> None:
    """128 choices, a token each in turn, are 128 texts and not as many as there are tokens."""
    out = reply(posted, stream=False)
    for token in range(50):
        out.add([TextDelta(f"{token} ", choice) for choice in range(128)], 1)
    out.add([Finish("stop", choice) for choice in range(128)], 1)
    out.end(DONE, 1)
    assert len(posted.chunks) == 2 * 128 + 1
    for choice in range(128):
        mine = [c for c in posted.chunks if not isinstance(c, Ended | UsageReport) and c.choice == choice]
        assert mine == [TextDelta("".join(f"{token} " for token in range(50)), choice), Finish("stop", choice)]


def test_what_is_of_another_kind_keeps_its_place(posted: Posted) -> None:
    """Within a choice nothing may pass what came before it."""
    deltas: list[Delta] = [
        ReasoningDelta("I "),
        ReasoningDelta("think"),
        TextDelta("So"),
        TextDelta(": "),
        ToolCallDelta(0, "{", "call_1", "f"),
        ToolCallDelta(0, "}"),
        TextDelta("and"),
        TextDelta(" x", 0, [{"token": " x"}]),
        TextDelta(" y"),
        RefusalDelta("no"),
        RefusalDelta("!"),
        Finish("stop"),
    ]
    out = reply(posted, stream=False)
    for delta in deltas:
        out.add((delta,), 1)
    out.end(DONE, 1)
    assert posted.chunks == [
        ReasoningDelta("I think"),
        TextDelta("So: "),
        ToolCallDelta(0, "{", "call_1", "f"),
        ToolCallDelta(0, "}"),
        TextDelta("and"),
        TextDelta(" x", 0, [{"token": " x"}]),
        TextDelta(" y"),
        RefusalDelta("no!"),
        Finish("stop"),
        DONE,
    ]


@pytest.mark.parametrize(
    "delta",
    [
        TextDelta("x" * 1_000),
        ReasoningDelta("x" * 1_000),
        ToolCallDelta(0, "x" * 1_000),
        TextDelta("x", 0, [{"t": "x" * 990}]),
    ],
    ids=lambda delta: type(delta).__name__,
)
def test_a_long_whole_reply_leaves_in_parts_far_below_a_publish(posted: Posted, delta: Delta) -> None:
    out = reply(posted, stream=False)
    for _ in range(1_000):
        out.add((delta,), 1)
    out.end(DONE, 1)
    assert [frame.seq for frame in posted.frames] == list(range(len(posted.frames)))
    assert len(posted.frames) == pytest.approx(10, abs=1)
    assert max(len(ENCODER.encode(frame)) for frame in posted.frames) < 150_000


def test_of_a_failed_whole_reply_only_the_end_is_sent(posted: Posted) -> None:
    out = reply(posted, stream=False)
    out.add((TextDelta("half an ans"), Finish("stop", 1)), 1)
    out.end(FAILED, 1)
    assert posted.chunks == [FAILED]


def test_of_a_failed_stream_everything_was_sent(posted: Posted) -> None:
    out = reply(posted, stream=True)
    out.add((TextDelta("half"),), 1)
    out.end(FAILED, 1)
    assert posted.chunks == [TextDelta("half"), FAILED]


@pytest.mark.parametrize("stream", [True, False])
def test_who_answers_in_place_of_the_model_that_was_asked_is_said_once_and_first(posted: Posted, stream: bool) -> None:
    sending = reply(posted, stream=stream)
    sending.answered_by("other")
    sending.add([TextDelta("a", 1), UsageReport(Usage(1, 1))], 1.0)
    sending.add([TextDelta("b", 0)], 1.0)
    sending.end(DONE, 1.0)
    assert posted.chunks[0] == AnsweredBy("other")
    assert sum(isinstance(chunk, AnsweredBy) for chunk in posted.chunks) == 1
