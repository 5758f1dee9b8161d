"""Responses events to deltas; the events are those of OpenAI's and Open Responses' references."""

import pytest
from openai.types.chat.chat_completion_token_logprob import ChatCompletionTokenLogprob

from schemas.chunks import (
    Delta,
    Finish,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    PenstockError,
    StreamCut,
)
from schemas.usage import Usage
from tests.responses_upstream import (
    begin,
    call,
    end,
    event,
    incomplete,
    item,
    reasoning,
    response,
    text,
    text_delta,
)
from workers.engine import EngineBusy
from workers.engines.openai_responses_stream import ResponsesStream


def read(*parts: bytes | list[bytes]) -> tuple[list[Delta], PenstockError | None]:
    stream = b"".join(part if isinstance(part, bytes) else b"".join(part) for part in parts)
    fold = ResponsesStream("m")
    deltas = fold.feed(stream)
    if not fold.done and fold.failure is None:
        deltas += fold.end()
    return deltas, fold.failure


def test_a_whole_stream() -> None:
    assert read(begin(), text(0, "Hel", "lo"), end(13, 2, cached_tokens=8, reasoning_tokens=1)) == (
        [TextDelta("Hel"), TextDelta("lo"), Finish("stop"), UsageReport(Usage(13, 2, 8, 1))],
        None,
    )


def test_a_call_and_then_another() -> None:
    assert read(begin(), call(0, "call_1", "f", '{"a"', ": 1}"), call(1, "call_2", "g", "{}"), end())[0] == [
        ToolCallDelta(0, "", "call_1", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ": 1}"),
        ToolCallDelta(1, "", "call_2", "g"),
        ToolCallDelta(1, "{}"),
        Finish("tool_calls"),
        UsageReport(Usage(7, 2)),
    ]


def test_calls_that_are_told_at_the_same_time_are_kept_apart() -> None:
    one, two = call(1, "call_1", "f", "{"), call(3, "call_2", "g", "[")
    mixed = [piece for pair in zip(one, two, strict=True) for piece in pair]
    assert read(begin(), mixed, end())[0][:4] == [
        ToolCallDelta(0, "", "call_1", "f"),
        ToolCallDelta(1, "", "call_2", "g"),
        ToolCallDelta(0, "{"),
        ToolCallDelta(1, "["),
    ]


def test_arguments_that_are_told_only_when_done_are_told() -> None:
    added, _, done, *_ = call(0, "call_1", "f", '{"a": 1}')
    whole = [ToolCallDelta(0, "", "call_1", "f"), ToolCallDelta(0, '{"a": 1}')]
    assert read(begin(), added, done, end())[0][:2] == whole
    assert read(begin(), added, call(0, "call_1", "f", '{"a": 1}')[-1], end())[0][:2] == whole


def test_a_call_that_is_told_only_when_done_is_told() -> None:
    assert read(begin(), call(0, "call_1", "f", "{}")[-1], end())[0][:2] == [
        ToolCallDelta(0, "{}", "call_1", "f"),
        Finish("tool_calls"),
    ]


def test_a_text_that_is_told_only_when_done_is_told() -> None:
    assert read(begin(), text(0, "Hello")[-1], end())[0][:2] == [TextDelta("Hello"), Finish("stop")]


def test_half_formed_arguments_pass_as_they_are() -> None:
    deltas, _ = read(begin(), call(0, "c", "f", '{"city": "Par'), incomplete("max_output_tokens"))
    assert deltas[:3] == [ToolCallDelta(0, "", "c", "f"), ToolCallDelta(0, '{"city": "Par'), Finish("length")]


def test_sealed_reasoning_signs_what_was_shown_of_it() -> None:
    deltas, _ = read(begin(), reasoning(0, "Hm", ".", sealed="gAAAA"), text(1, "4"), end())
    assert deltas[:4] == [ReasoningDelta("Hm"), ReasoningDelta("."), Signature("gAAAA"), TextDelta("4")]


def test_sealed_reasoning_of_which_nothing_was_shown_stands_alone() -> None:
    deltas, _ = read(begin(), item("done", 0, type="reasoning", summary=[], encrypted_content="gAAAA"), end())
    assert deltas[0] == RedactedReasoning("gAAAA")


def test_reasoning_that_is_told_only_when_done_is_told() -> None:
    shown = [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}]
    deltas, _ = read(begin(), item("done", 0, type="reasoning", summary=shown), end())
    assert deltas[0] == ReasoningDelta("a\n\nb")


@pytest.mark.parametrize("kind", ["response.reasoning_text.delta", "response.reasoning.delta"])
def test_what_open_models_think_is_reasoning(kind: str) -> None:
    place = {"item_id": "rs_1", "output_index": 0, "content_index": 0}
    assert read(begin(), event(kind, **place, delta="Hm."), end())[0][0] == ReasoningDelta("Hm.")


def test_parts_of_a_summary_are_apart() -> None:
    def part(number: int, piece: str) -> bytes:
        place = {"item_id": "rs_1", "output_index": 0, "summary_index": number}
        return event("response.reasoning_summary_text.delta", **place, delta=piece)

    deltas, _ = read(begin(), part(0, "a"), part(0, "b"), part(1, "c"), end())
    assert deltas[:3] == [ReasoningDelta("a"), ReasoningDelta("b"), ReasoningDelta("\n\nc")]


def test_a_refusal() -> None:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    done = item("done", 0, type="message", role="assistant", content=[{"type": "refusal", "refusal": "No."}])
    refused = event("response.refusal.delta", **place, delta="No.")
    assert read(begin(), refused, done, end())[0][:2] == [RefusalDelta("No."), Finish("stop")]
    assert read(begin(), done, end())[0][:2] == [RefusalDelta("No."), Finish("stop")]


def test_logprobs_are_those_of_chat_completions() -> None:
    token = {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.0}]}
    delta = read(begin(), text_delta("é", logprobs=[token]), end())[0][0]
    assert isinstance(delta, TextDelta)
    assert delta.logprobs is not None
    parsed = ChatCompletionTokenLogprob.model_validate(delta.logprobs[0])
    assert (parsed.token, parsed.logprob, parsed.bytes) == ("é", -0.5, [195, 169])
    assert parsed.top_logprobs[0].bytes == [101]


def test_a_token_that_is_half_a_character_has_no_known_bytes() -> None:
    delta = read(begin(), text_delta("", logprobs=[{"token": "bytes:\\xf0\\x9f", "logprob": -1.0}]), end())[0][0]
    assert isinstance(delta, TextDelta)
    assert delta.logprobs == [{"token": "bytes:\\xf0\\x9f", "logprob": -1.0, "bytes": None, "top_logprobs": []}]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [("max_output_tokens", "length"), ("content_filter", "content_filter"), ("something_new", "length")],
)
def test_why_a_response_is_incomplete(reason: str, finish: str) -> None:
    deltas, failure = read(begin(), text(0, "a"), incomplete(reason))
    assert failure is None
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == [finish]
    assert deltas[-1] == UsageReport(Usage(7, 2))


def test_a_response_that_completes_incomplete_was_cut_short() -> None:
    """As vLLM 0.32 ends one that has reached its limit."""
    details = {"reason": "max_output_tokens"}
    cut_short = response("response.completed", status="incomplete", incomplete_details=details)
    deltas, failure = read(begin(), text(0, "a"), cut_short)
    assert failure is None
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == ["length"]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([b""], id="nothing"),
        pytest.param([begin()], id="a beginning"),
        pytest.param([begin(), text(0, "a")], id="a whole text without an end"),
        pytest.param([begin(), text(0, "a"), b"data: [DONE]\n\n"], id="DONE without an end"),
        pytest.param([begin(), b'data: {"type": "response.out'], id="half an event"),
        pytest.param([begin(), response("response.cancelled")], id="a cancelled response"),
    ],
)
def test_a_stream_without_an_end_is_cut(stream: list[bytes | list[bytes]]) -> None:
    _, failure = read(*stream)
    assert isinstance(failure, StreamCut)


@pytest.mark.parametrize(
    ("failed", "branch"),
    [
        (event("error", code="server_error", message="boom", param=None), EngineUnavailable),
        (event("error", code="rate_limit_exceeded", message="slow down", param=None), EngineBusy),
        (
            event("error", error={"type": "invalid_request_error", "code": "context_length_exceeded"}),
            ContextLengthExceeded,
        ),
        (response("response.failed", error={"code": "server_error", "message": "boom"}), EngineUnavailable),
        (response("response.failed", error={"code": "invalid_api_key", "message": "no"}), EngineRejected),
        (response("response.failed", error=None), EngineUnavailable),
    ],
)
def test_an_error_is_an_error_after_what_came_before_it(failed: bytes, branch: type[PenstockError]) -> None:
    deltas, failure = read(begin(), text_delta("a"), failed)
    assert deltas == [TextDelta("a")]
    assert type(failure) is branch


@pytest.mark.parametrize("sent", [b"data: nonsense\n\n", b'data: {"type": 3}\n\n', b"data: \xff\n\n"])
def test_what_is_no_event_is_a_failure_of_the_engine(sent: bytes) -> None:
    deltas, failure = read(begin(), text_delta("a"), sent)
    assert deltas == [TextDelta("a")]
    assert type(failure) is EngineFailed


def test_events_of_tools_that_a_provider_runs_are_passed_over() -> None:
    ran = event("response.web_search_call.in_progress", output_index=0, item_id="ws_1")
    assert read(begin(), ran, item("done", 0, type="web_search_call", id="ws_1"), text(1, "a"), end())[0] == [
        TextDelta("a"),
        Finish("stop"),
        UsageReport(Usage(7, 2)),
    ]


def test_characters_cut_between_reads_are_whole() -> None:
    stream = text_delta("漢字🦙é")
    fold = ResponsesStream("m")
    assert [delta for at in range(len(stream)) for delta in fold.feed(stream[at : at + 1])] == [TextDelta("漢字🦙é")]
