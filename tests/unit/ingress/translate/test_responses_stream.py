import json
from collections.abc import Iterable, Sequence
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from ingress.translate.openai_responses import ResponsesFold, ResponsesStreamWriter, head, parse
from ingress.translate.openai_responses.stream import Dialect
from schemas.chunks import (
    Chunk,
    Ended,
    Finish,
    OpaquePiece,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.errors import Cancelled, ErrorData
from schemas.usage import Usage
from tests.open_responses import check_response, check_stream

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

USAGE = Usage(input_tokens=11, output_tokens=5, cached_input_tokens=8, reasoning_tokens=2)
COMPLETED = Ended("completed", USAGE)
TOKEN = {"token": "Hi", "logprob": -0.25, "bytes": [72, 105], "top_logprobs": []}
REQUEST = parse(json.dumps({"model": "m", "input": "Hello", "max_output_tokens": 50}).encode())
HEAD = head(REQUEST, "m", "job_0123", 1_700_000_000, store=True)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def now() -> float:
    return 1_700_000_009.75


def written(chunks: Iterable[Chunk], *, at_once: bool = False, dialect: Dialect = "openai", after: int = -1) -> str:
    writer = ResponsesStreamWriter(HEAD, now, dialect, after)
    chunks = list(chunks)
    calls = [chunks] if at_once else [[chunk] for chunk in chunks]
    return b"".join(writer.write(call) for call in calls).decode()


def kinds(*chunks: Chunk) -> list[str]:
    return [event["type"].removeprefix("response.") for event in check_stream(written(chunks))]


def folded(chunks: Sequence[Chunk]) -> dict[str, Any]:
    fold = ResponsesFold(HEAD, now)
    fold.add(chunks)
    body: dict[str, Any] = json.loads(fold.reply())
    return body


def last(*chunks: Chunk) -> dict[str, Any]:
    response: dict[str, Any] = check_stream(written(chunks))[-1]["response"]
    return response


def test_text_comes_in_the_order_of_openais_example() -> None:
    assert kinds(TextDelta("Hi"), TextDelta(" there"), Finish("stop"), UsageReport(USAGE), COMPLETED) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]


def test_the_completed_response_says_it_all() -> None:
    response = last(TextDelta("Hi"), TextDelta(" there"), Finish("stop"), COMPLETED)
    assert (response["id"], response["status"], response["completed_at"]) == ("resp_0123", "completed", 1_700_000_009)
    assert response["created_at"] == response["created"] == 1_700_000_000
    (message,) = response["output"]
    assert message["content"] == [{"type": "output_text", "text": "Hi there", "annotations": [], "logprobs": []}]
    assert response["usage"] == {
        "input_tokens": 11,
        "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }


def test_a_stream_that_opens_with_a_tool_call_has_all_its_events() -> None:
    assert kinds(
        TextDelta(""),
        ToolCallDelta(0, "", "call_a", "get_weather"),
        ToolCallDelta(0, '{"city":'),
        ToolCallDelta(0, '"Oslo"}'),
        Finish("tool_calls"),
        COMPLETED,
    ) == [
        "created",
        "in_progress",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]


def test_interleaved_calls_are_told_apart_by_their_index() -> None:
    response = last(
        TextDelta("Let me look."),
        ToolCallDelta(0, "", "call_a", "f"),
        ToolCallDelta(1, "", "call_b", "g"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(1, '{"b":'),
        ToolCallDelta(0, "1}"),
        ToolCallDelta(1, "2}"),
        Finish("tool_calls"),
        COMPLETED,
    )
    message, *calls = response["output"]
    assert message["type"] == "message"
    assert [(call["call_id"], call["name"], call["arguments"]) for call in calls] == [
        ("call_a", "f", '{"a":1}'),
        ("call_b", "g", '{"b":2}'),
    ]


def test_half_formed_arguments_are_the_models_own() -> None:
    response = last(ToolCallDelta(0, '{"a":', "call_a", "f"), Finish("tool_calls"), COMPLETED)
    assert response["output"][0]["arguments"] == '{"a":'
    assert response["output"][0]["status"] == "completed"


def test_reasoning_ends_where_the_answer_begins() -> None:
    chunks = [ReasoningDelta("Hm."), Signature("sig"), TextDelta("Four."), Finish("stop"), COMPLETED]
    assert kinds(*chunks)[2:9] == [
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
    ]
    reasoning, message = last(*chunks)["output"]
    assert (reasoning["content"], reasoning["encrypted_content"]) == (
        [{"type": "reasoning_text", "text": "Hm."}],
        "sig",
    )
    assert message["content"][0]["text"] == "Four."


def test_reasoning_between_two_texts_stands_between_them() -> None:
    response = last(ReasoningDelta("a"), TextDelta("b"), ReasoningDelta("c"), TextDelta("d"), Finish("stop"), COMPLETED)
    assert [item["content"][0]["text"] for item in response["output"]] == ["a", "b", "c", "d"]


def test_reasoning_that_nobody_may_read_is_handed_on() -> None:
    response = last(RedactedReasoning("secret"), Signature("sig"), TextDelta("x"), Finish("stop"), COMPLETED)
    redacted, unshown, _ = response["output"]
    assert (redacted["encrypted_content"], redacted["content"]) == ("secret", [])
    assert (unshown["encrypted_content"], unshown["content"][0]["text"]) == ("sig", "")


def test_a_refusal_is_a_part_of_its_own() -> None:
    chunks = [TextDelta("Well. "), RefusalDelta("I"), RefusalDelta(" won't."), Finish("stop"), COMPLETED]
    assert "refusal.delta" in kinds(*chunks)
    (message,) = last(*chunks)["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "I won't."


def test_a_model_may_say_nothing() -> None:
    (message,) = last(Finish("stop"), COMPLETED)["output"]
    assert message["content"][0]["text"] == ""


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_what_was_broken_off_is_incomplete_and_says_why(reason: Any, told: str) -> None:
    chunks = [ReasoningDelta("Hm."), TextDelta("Once upon"), Finish(reason), COMPLETED]
    assert kinds(*chunks)[-1] == "incomplete"
    response = last(*chunks)
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": told})
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_logprobs_travel_with_their_text() -> None:
    events = check_stream(written([TextDelta("Hi", 0, [TOKEN]), TextDelta("!"), Finish("stop"), COMPLETED]))
    deltas = [event["logprobs"] for event in events if event["type"] == "response.output_text.delta"]
    assert deltas == [[TOKEN], []]
    assert events[-1]["response"]["output"][0]["content"][0]["logprobs"] == [TOKEN]


FAILED: list[tuple[list[Chunk], str]] = [
    ([TextDelta("Hi"), Ended("failed", USAGE, ErrorData("stream_cut", "Cut.", 502))], "stream_cut"),
    ([TextDelta("Hi"), Finish("stop"), Ended("failed", USAGE, ErrorData("worker_lost", "Lost.", 503))], "worker_lost"),
    ([ToolCallDelta(0, "{", "a", "f"), Ended("completed", USAGE)], "stream_cut"),
    ([Ended("expired", Usage(), ErrorData("deadline_exceeded", "Late.", 504))], "deadline_exceeded"),
]


@pytest.mark.parametrize(("chunks", "code"), FAILED)
def test_a_stream_that_did_not_complete_says_so_twice(chunks: list[Chunk], code: str) -> None:
    *_, error, failed = check_stream(written(chunks))
    assert (error["type"], error["code"]) == ("error", code)
    assert (failed["type"], failed["response"]["error"]["type"]) == ("response.failed", code)
    assert failed["response"]["error"]["code"] == "server_error"


@pytest.mark.parametrize(("chunks", "code"), FAILED)
def test_what_did_not_complete_is_an_error_of_the_whole(chunks: list[Chunk], code: str) -> None:
    fold = ResponsesFold(HEAD, now)
    fold.add(chunks)
    assert fold.error is not None
    assert fold.error.code == code


def test_a_cancelled_response_is_no_failure() -> None:
    chunks = [TextDelta("Hi"), Ended("cancelled", USAGE, Cancelled("Asked to end.").data())]
    response = last(*chunks)
    assert (response["status"], response["error"]) == ("cancelled", None)
    assert response["output"][0]["status"] == "incomplete"


def test_open_responses_has_its_own_words() -> None:
    chunks = [ReasoningDelta("Hm."), Ended("failed", USAGE, ErrorData("rate_limit_exceeded", "Slow down.", 429))]
    events = check_stream(written(chunks, dialect="open_responses"), open_responses=True)
    assert events[4]["type"] == "response.reasoning.delta"
    assert events[-2]["error"]["type"] == "too_many_requests"


def test_what_waits_says_so_before_it_begins() -> None:
    writer = ResponsesStreamWriter(HEAD, now)
    text = writer.queued() + writer.write([TextDelta("Hi"), Finish("stop"), COMPLETED])
    events = check_stream(text.decode())
    assert [event["response"]["status"] for event in events[:3]] == ["queued", "queued", "in_progress"]


def test_a_stream_goes_on_after_any_event_it_has_sent() -> None:
    chunks = [ReasoningDelta("Hm."), TextDelta("Hi"), ToolCallDelta(0, "{}", "a", "f"), Finish("tool_calls"), COMPLETED]
    every = check_stream(written(chunks))
    for after in range(-1, len(every)):
        rest = check_stream(written(chunks, after=after), after=after) if after < len(every) - 1 else []
        assert rest == every[after + 1 :]


def test_nothing_is_written_after_the_end() -> None:
    end: list[Chunk] = [TextDelta("Hi"), Finish("stop"), COMPLETED]
    late: list[Chunk] = [TextDelta("again"), Finish("stop"), COMPLETED]
    assert written([*end, *late]) == written(end) == written([*end, *late], at_once=True)


@pytest.mark.parametrize(
    "separator", ["\n", "\r", "\u0085", "\u2028", "\u2029", "\x1c", "\x0b", "\x00", "\ufeff", "😀"]
)
def test_no_character_breaks_a_line_for_any_reader(separator: str) -> None:
    text = f"a{separator}é"
    chunks: list[Chunk] = [ToolCallDelta(0, text, "a", "f"), TextDelta(text), Finish("stop"), COMPLETED]
    stream = written(chunks)
    assert all(len(block.splitlines()) == 2 for block in stream.split("\n\n")[:-2])
    call, message = check_stream(stream)[-1]["response"]["output"]
    assert (call["arguments"], message["content"][0]["text"]) == (text, text)


DELTAS = st.lists(
    st.one_of(
        st.builds(
            TextDelta, st.text(max_size=3), st.sampled_from([0, 0, 0, 1]), st.sampled_from([None, None, [TOKEN]])
        ),
        st.builds(RefusalDelta, st.text(max_size=3)),
        st.builds(ReasoningDelta, st.text(max_size=3)),
        st.builds(Signature, st.text(max_size=3)),
        st.builds(RedactedReasoning, st.text(max_size=3)),
        st.builds(
            lambda index, text, known: ToolCallDelta(index, text, f"call_{index}" if known else None, "f"),
            st.integers(0, 2),
            st.text(max_size=3),
            st.booleans(),
        ),
        st.just(OpaquePiece("anthropic", {"type": "server_tool_use"})),
        st.just(Finish("stop")),
    ),
    max_size=20,
)
ENDS = st.sampled_from(
    [
        [Finish("stop"), COMPLETED],
        [Finish("length"), COMPLETED],
        [Finish("content_filter"), COMPLETED],
        [COMPLETED],
        [Ended("failed", USAGE, ErrorData("engine_failed", "No.", 502))],
        [Ended("cancelled", USAGE, Cancelled("Asked to end.").data())],
    ]
)


@UNHURRIED
@given(DELTAS, ENDS, st.booleans())
def test_any_stream_is_valid_and_ends_with_the_whole_response(
    deltas: list[Chunk], ends: list[Chunk], at_once: bool
) -> None:
    events = check_stream(written([*deltas, *ends], at_once=at_once))
    body = folded([*deltas, *ends])
    check_response(body)
    assert events[-1]["response"] == body
    assert events == check_stream(written([*deltas, *ends], at_once=not at_once))


@UNHURRIED
@given(DELTAS, ENDS)
def test_the_official_client_takes_any_stream(deltas: list[Chunk], ends: list[Chunk]) -> None:
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    for event in check_stream(written([*deltas, *ends])):
        state.handle_event(EVENT.validate_python(event))
    response = Response.model_validate(folded([*deltas, *ends]))
    if state._completed_response is not None:
        assert state._completed_response.output_text == response.output_text
