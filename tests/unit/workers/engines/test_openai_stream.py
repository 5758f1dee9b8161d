"""Chat completion chunks to deltas; the chunks are those of OpenAI's and vLLM's documentation."""

import json

import pytest

from schemas.chunks import Delta, Finish, TextDelta, UsageReport
from schemas.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
    StreamCut,
)
from schemas.usage import Usage
from tests.upstream import DONE, chunk, event, finish, opening, text, usage
from workers.engines.openai_stream import ChatStream


def deltas_of(stream: bytes, choices: int = 1) -> tuple[list[Delta], PenstockError | None]:
    fold = ChatStream("m", choices)
    deltas = fold.feed(stream)
    if not fold.done and fold.failure is None:
        deltas += fold.end()
    return deltas, fold.failure


def test_a_whole_stream() -> None:
    deltas, failure = deltas_of(
        opening()
        + text("Hel")
        + text("lo")
        + finish("length")
        + usage(13, 2, cached_tokens=8, reasoning_tokens=1)
        + DONE
    )
    assert failure is None
    assert deltas == [
        TextDelta("Hel"),
        TextDelta("lo"),
        Finish("length"),
        UsageReport(Usage(input_tokens=13, output_tokens=2, cached_input_tokens=8, reasoning_tokens=1)),
    ]


def test_an_opening_chunk_gives_nothing() -> None:
    assert ChatStream("m", 1).feed(opening()) == []


def test_logprobs_stay_even_with_a_text_that_is_empty() -> None:
    token = {"token": "", "logprob": -0.5, "bytes": [240], "top_logprobs": []}
    deltas = ChatStream("m", 1).feed(
        text("", logprobs=None) + chunk({"index": 0, "delta": {"content": ""}, "logprobs": {"content": [token]}})
    )
    assert deltas == [TextDelta("", 0, [token])]


def test_choices_keep_their_index() -> None:
    deltas, failure = deltas_of(text("a", 1) + text("b", 0) + finish("stop", 1) + finish("length", 0) + DONE, choices=2)
    assert failure is None
    assert deltas == [TextDelta("a", 1), TextDelta("b", 0), Finish("stop", 1), Finish("length", 0)]


def test_a_finish_in_the_chunk_of_the_last_text() -> None:
    deltas, failure = deltas_of(chunk({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}) + DONE)
    assert (deltas, failure) == ([TextDelta("x"), Finish("stop")], None)


def test_a_second_finish_of_a_choice_is_not_passed_on() -> None:
    deltas, _ = deltas_of(finish("stop") + finish("stop") + DONE)
    assert deltas == [Finish("stop")]


def test_a_refusal_reaches_the_reader() -> None:
    deltas, _ = deltas_of(chunk({"index": 0, "delta": {"refusal": "I can't"}}) + finish() + DONE)
    assert deltas[0] == TextDelta("I can't")


@pytest.mark.parametrize(
    ("reason", "canonical"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("model_length", "length"),
        ("something_new", "stop"),
    ],
)
def test_finish_reasons(reason: str, canonical: str) -> None:
    deltas, failure = deltas_of(finish(reason) + DONE)
    assert failure is None
    assert [delta.reason for delta in deltas if isinstance(delta, Finish)] == [canonical]


@pytest.mark.parametrize("reason", ["abort", "error"])
def test_a_reason_that_means_broken_off_is_a_cut(reason: str) -> None:
    deltas, failure = deltas_of(text("a") + finish(reason) + DONE)
    assert deltas == [TextDelta("a")]
    assert isinstance(failure, StreamCut)


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(text("a"), id="text only"),
        pytest.param(text("a") + DONE, id="DONE without a finish reason"),
        pytest.param(text("a") + usage(1, 1) + DONE, id="usage without a finish reason"),
        pytest.param(text("a") + b'data: {"choices": [{"ind', id="half a chunk"),
        pytest.param(chunk({"index": 0, "delta": {}, "finish_reason": ""}) + DONE, id="an empty finish reason"),
    ],
)
def test_a_stream_without_a_finish_reason_is_cut(stream: bytes) -> None:
    fold = ChatStream("m", 1)
    fold.feed(stream)
    fold.end()
    assert fold.done
    assert isinstance(fold.failure, StreamCut)


def test_a_choice_that_never_finished_is_a_cut() -> None:
    _, failure = deltas_of(text("a", 0) + finish("stop", 0) + text("b", 1) + DONE, choices=2)
    assert isinstance(failure, StreamCut)


def test_an_explicit_zero_in_usage_is_a_zero() -> None:
    deltas, _ = deltas_of(finish() + usage(0, 0) + DONE)
    assert deltas[-1] == UsageReport(Usage(0, 0, 0, 0))


def test_usage_without_details_and_with_nulls() -> None:
    sent = event(
        {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": None, "prompt_tokens_details": None}}
    )
    deltas, _ = deltas_of(finish() + sent + DONE)
    assert deltas[-1] == UsageReport(Usage(5, 0))


def test_of_continuous_usage_one_report_a_batch_is_enough() -> None:
    counted = {"prompt_tokens": 5, "completion_tokens": 2}
    first = chunk({"index": 0, "delta": {"content": "a"}}, usage={"prompt_tokens": 5, "completion_tokens": 1})
    assert ChatStream("m", 1).feed(first + chunk({"index": 0, "delta": {"content": "b"}}, usage=counted)) == [
        TextDelta("a"),
        TextDelta("b"),
        UsageReport(Usage(5, 2)),
    ]


@pytest.mark.parametrize(
    ("error", "branch"),
    [
        # vLLM 0.33 puts an HTTP status into `code`.
        ({"message": "boom", "type": "InternalServerError", "param": None, "code": 500}, EngineUnavailable),
        ({"message": "too long", "type": "BadRequestError", "param": None, "code": 400}, InvalidRequest),
        ({"message": "slow down", "type": "rate_limit_error", "param": None, "code": None}, EngineUnavailable),
        (
            {"message": "The server had an error", "type": "server_error", "param": None, "code": None},
            EngineUnavailable,
        ),
        (
            {"message": "long", "type": "invalid_request_error", "code": "context_length_exceeded"},
            ContextLengthExceeded,
        ),
        ({"message": "no", "type": "authentication_error", "code": "invalid_api_key"}, EngineRejected),
        ({"message": "cut", "type": "engine_error", "code": "stream_cut"}, EngineUnavailable),
        ("something broke", EngineUnavailable),
        ({"nothing": "known"}, EngineUnavailable),
    ],
)
def test_an_error_in_the_stream_is_an_error_after_what_came_before_it(
    error: object, branch: type[PenstockError]
) -> None:
    deltas, failure = deltas_of(text("a") + event({"error": error}) + DONE)
    assert deltas == [TextDelta("a")]
    assert type(failure) is branch


@pytest.mark.parametrize("sent", [b"data: nonsense\n\n", b'data: {"choices": 3}\n\n', b"data: \xff\xfe\n\n"])
def test_what_is_no_chunk_is_a_failure_of_the_engine(sent: bytes) -> None:
    deltas, failure = deltas_of(text("a") + sent)
    assert deltas == [TextDelta("a")]
    assert type(failure) is EngineFailed


def test_unknown_fields_are_none_of_our_business() -> None:
    sent = json.loads(text("a", logprobs=None)[6:]) | {"obfuscation": "xx", "service_tier": None, "nvext": {"a": 1}}
    assert ChatStream("m", 1).feed(event(sent)) == [TextDelta("a")]


def test_characters_cut_between_reads_are_whole() -> None:
    stream = text("漢字🦙é")
    fold = ChatStream("m", 1)
    deltas = [delta for at in range(len(stream)) for delta in fold.feed(stream[at : at + 1])]
    assert deltas == [TextDelta("漢字🦙é")]
