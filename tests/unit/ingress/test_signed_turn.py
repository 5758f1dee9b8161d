"""Thinking that is taken out of an answer's chunks and put back into the message that a client makes of them."""

import pytest

from ingress.signed_turn import ENCODER, Called, KeptTurn, SignedTurn, first_call, restored
from schemas.chat import Message, Part, RedactedThinking, Text, Thinking, ToolCall
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Ended,
    Finish,
    ReasoningDelta,
    RedactedReasoning,
    Signature,
    TextDelta,
    ToolCallDelta,
)
from schemas.usage import Usage

DONE: list[Chunk] = [Finish("tool_calls"), Ended("completed", Usage(1, 2))]
THOUGHT: list[Chunk] = [ReasoningDelta("Let me"), ReasoningDelta(" see."), Signature("c2ln")]
CALL: list[Chunk] = [
    ToolCallDelta(0, "", "toolu_1", "weather"),
    ToolCallDelta(0, '{"city":'),
    ToolCallDelta(0, '"Ulm"}'),
]
SIGNED = Thinking("Let me see.", "c2ln")


def turn_of(*chunks: Chunk) -> KeptTurn | None:
    turn = SignedTurn("claude")
    for chunk in chunks:
        turn.add([chunk])
    return turn.kept()


def said(*parts: Part) -> Message:
    return Message("assistant", parts)


def back(turn: KeptTurn | None, *parts: Part) -> Message | None:
    assert turn is not None
    return restored(said(*parts), ENCODER.encode(turn))


def test_thinking_comes_back_before_what_it_was_said_before() -> None:
    turn = turn_of(*THOUGHT, RedactedReasoning("xyz"), TextDelta("I look."), *CALL, *DONE)
    assert turn == KeptTurn((SIGNED, RedactedThinking("xyz")), (Called("toolu_1", "weather", '{"city":"Ulm"}'),))
    call = ToolCall("toolu_1", "weather", '{ "city": "Ulm" }')
    assert back(turn, Thinking("Let me see."), Text("I look."), call) == said(
        SIGNED, RedactedThinking("xyz"), Text("I look."), call
    )


def test_thinking_between_calls_keeps_its_place() -> None:
    second: list[Chunk] = [ReasoningDelta("And"), Signature("two"), ToolCallDelta(1, "{}", "toolu_2", "time")]
    turn = turn_of(*THOUGHT, *CALL, *second, *DONE)
    calls = ToolCall("toolu_1", "weather", '{"city":"Ulm"}'), ToolCall("toolu_2", "time", "")
    assert back(turn, *calls) == said(SIGNED, calls[0], Thinking("And", "two"), calls[1])


def test_thinking_that_was_not_shown_has_an_empty_text() -> None:
    turn = turn_of(Signature("c2ln"), *CALL, *DONE)
    assert turn is not None
    assert turn.lead == (Thinking("", "c2ln"),)


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([*THOUGHT, TextDelta("Ulm."), *DONE], id="no calls"),
        pytest.param([ReasoningDelta("Hm"), *CALL, *DONE], id="nothing signed"),
        pytest.param([*CALL, *DONE], id="no thinking"),
        pytest.param([*THOUGHT, *CALL], id="no end"),
        pytest.param([*THOUGHT, *CALL, Ended("cancelled", Usage())], id="cancelled"),
        pytest.param([*THOUGHT, ToolCallDelta(0, "{}", None, "weather"), *DONE], id="a call without an id"),
        pytest.param([*THOUGHT, *CALL, Signature("late"), *DONE], id="thinking after the last call"),
    ],
)
def test_what_need_not_or_cannot_come_back_is_not_kept(chunks: list[Chunk]) -> None:
    assert turn_of(*chunks) is None


@pytest.mark.parametrize(
    "call",
    [
        ToolCall("toolu_1", "weather", '{"city":"Bonn"}'),
        ToolCall("toolu_1", "time", '{"city":"Ulm"}'),
        ToolCall("toolu_9", "weather", '{"city":"Ulm"}'),
    ],
)
def test_another_turn_gets_none_of_it(call: ToolCall) -> None:
    assert back(turn_of(*THOUGHT, *CALL, *DONE), call) is None


def test_what_cannot_be_read_is_as_good_as_lost() -> None:
    assert restored(said(ToolCall("toolu_1", "weather", "{}")), b"\xc1") is None


def test_half_formed_arguments_are_known_again_by_their_text() -> None:
    turn = turn_of(*THOUGHT, ToolCallDelta(0, '{"ci', "toolu_1", "weather"), *DONE)
    assert back(turn, ToolCall("toolu_1", "weather", '{"ci')) is not None
    assert back(turn, ToolCall("toolu_1", "weather", '{"cit')) is None


def test_the_signatures_are_those_of_the_model_that_answered() -> None:
    turn = SignedTurn("claude")
    turn.add([AnsweredBy("other"), *THOUGHT])
    assert turn.model == "other"


@pytest.mark.parametrize(
    ("message", "call_id"),
    [
        (said(Text("a"), ToolCall("one", "f", "{}"), ToolCall("two", "f", "{}")), "one"),
        (said(Thinking("a"), ToolCall("one", "f", "{}")), "one"),
        (said(Thinking("a", "s"), ToolCall("one", "f", "{}")), None),
        (said(RedactedThinking("a"), ToolCall("one", "f", "{}")), None),
        (said(Thinking("a"), Text("b")), None),
        (Message("user", (Text("a"),)), None),
    ],
)
def test_a_turn_is_looked_for_where_its_thinking_is_missing(message: Message, call_id: str | None) -> None:
    assert first_call(message) == call_id
