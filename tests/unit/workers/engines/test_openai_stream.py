"""Chat completion chunks to deltas; the chunks are those of OpenAI's and vLLM's documentation."""

import json

import pytest

from schemas.chunks import Delta, Finish, ReasoningDelta, RefusalDelta, TextDelta, ToolCallDelta, UsageReport
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
from workers.engine import EngineBusy
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


@pytest.mark.parametrize(("stop_reason", "sequence"), [("END", "END"), (2, None), (None, None)])
def test_the_stop_sequence_that_was_hit_is_told_where_vllm_tells_it(stop_reason: object, sequence: str | None) -> None:
    last = {"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": stop_reason}
    assert deltas_of(chunk(last) + DONE)[0] == [Finish("stop", 0, sequence)]


def test_a_second_finish_of_a_choice_is_not_passed_on() -> None:
    deltas, _ = deltas_of(finish("stop") + finish("stop") + DONE)
    assert deltas == [Finish("stop")]


def test_a_refusal_is_told_from_an_answer() -> None:
    deltas, _ = deltas_of(chunk({"index": 0, "delta": {"refusal": "I can't"}}) + finish() + DONE)
    assert deltas[0] == RefusalDelta("I can't")


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"reasoning": "Hm.", "reasoning_content": "Hm.", "reasoning_details": [{"type": "reasoning.text"}]},
        {"reasoning_content": "Hm.", "content": ""},
        {"reasoning_content": "Hm.", "content": None, "tool_calls": []},
    ],
)
def test_reasoning_by_any_of_its_names_is_reasoning(delta: dict[str, object]) -> None:
    deltas, _ = deltas_of(chunk({"index": 0, "delta": delta}) + text("4") + finish() + DONE)
    assert deltas == [ReasoningDelta("Hm."), TextDelta("4"), Finish("stop")]


def test_reasoning_does_not_swallow_the_content_beside_it() -> None:
    both = chunk({"index": 0, "delta": {"reasoning_content": "Hm.", "content": "4"}})
    assert deltas_of(both + finish() + DONE)[0] == [ReasoningDelta("Hm."), TextDelta("4"), Finish("stop")]


def test_reasoning_may_come_again_between_what_is_said() -> None:
    stream = b"".join(
        chunk({"index": 0, "delta": {field: piece}})
        for field, piece in [("reasoning", "a"), ("content", "b"), ("reasoning", "c"), ("content", "d")]
    )
    assert deltas_of(stream + finish() + DONE)[0] == [
        ReasoningDelta("a"),
        TextDelta("b"),
        ReasoningDelta("c"),
        TextDelta("d"),
        Finish("stop"),
    ]


def test_reasoning_that_is_no_text_is_passed_over() -> None:
    deltas, failure = deltas_of(chunk({"index": 0, "delta": {"reasoning": {"a": 1}, "content": "4"}}) + finish() + DONE)
    assert (deltas, failure) == ([TextDelta("4"), Finish("stop")], None)


def test_an_empty_list_of_calls_does_not_swallow_the_text() -> None:
    deltas, _ = deltas_of(chunk({"index": 0, "delta": {"content": "Hi", "tool_calls": []}}) + finish() + DONE)
    assert deltas == [TextDelta("Hi"), Finish("stop")]


def called(*pieces: dict[str, object], choice: int = 0) -> bytes:
    return chunk({"index": choice, "delta": {"tool_calls": list(pieces)}})


def piece(index: int | None = 0, arguments: str | None = None, **fields: str | None) -> dict[str, object]:
    name = fields.pop("name", None)
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**({} if index is None else {"index": index}), **fields, "function": function}


def test_a_stream_may_open_with_a_call() -> None:
    stream = (
        called(piece(0, "", id="call_1", type="function", name="f"))
        + called(piece(0, '{"a"'))
        + called(piece(0, ": 1}"))
        + finish("tool_calls")
    )
    assert deltas_of(stream + DONE)[0] == [
        ToolCallDelta(0, "", "call_1", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ": 1}"),
        Finish("tool_calls"),
    ]


def test_calls_are_kept_apart_by_their_index() -> None:
    stream = called(piece(0, "{", id="x", name="f"), piece(1, "[", id="y", name="g")) + called(
        piece(1, "]"), piece(0, "}")
    )
    assert deltas_of(stream + finish("tool_calls") + DONE)[0][:-1] == [
        ToolCallDelta(0, "{", "x", "f"),
        ToolCallDelta(1, "[", "y", "g"),
        ToolCallDelta(1, "]"),
        ToolCallDelta(0, "}"),
    ]


@pytest.mark.parametrize("index", [0, None])
def test_whole_calls_that_all_have_the_same_index_or_none_are_calls_of_their_own(index: int | None) -> None:
    stream = called(piece(index, "{}", id="x", name="f")) + called(piece(index, "[]", id="y", name="f"))
    assert deltas_of(stream + finish("stop") + DONE)[0] == [
        ToolCallDelta(0, "{}", "x", "f"),
        ToolCallDelta(1, "[]", "y", "f"),
        Finish("tool_calls"),
    ]


def test_an_id_and_a_name_that_come_with_every_piece_are_one_call() -> None:
    stream = called(piece(0, "{", id="x", name="f")) + called(piece(0, "}", id="x", name="f"))
    assert deltas_of(stream + finish() + DONE)[0][:-1] == [ToolCallDelta(0, "{", "x", "f"), ToolCallDelta(0, "}")]


def test_an_id_made_anew_for_every_piece_is_one_call() -> None:
    stream = called(piece(0, "{", id="x", name="f")) + called(piece(0, "}", id="z"))
    assert deltas_of(stream + finish() + DONE)[0][:-1] == [ToolCallDelta(0, "{", "x", "f"), ToolCallDelta(0, "}")]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    stream = called(piece(0, "{}", name="f"), piece(1, "{}", name="f", id="")) + finish("tool_calls")
    first, second, _ = deltas_of(stream + DONE)[0]
    assert isinstance(first, ToolCallDelta)
    assert isinstance(second, ToolCallDelta)
    assert first.id != second.id
    assert all(call.id and call.id.startswith("call_") for call in (first, second))


def test_a_call_without_index_or_id_goes_on_with_the_last() -> None:
    stream = called(piece(None, "{", id="x", name="f")) + called(piece(None, "}")) + called(piece(None, "{}", name="g"))
    first, more, second, _ = deltas_of(stream + finish() + DONE)[0]
    assert (first, more) == (ToolCallDelta(0, "{", "x", "f"), ToolCallDelta(0, "}"))
    assert isinstance(second, ToolCallDelta)
    assert (second.index, second.name, second.arguments) == (1, "g", "{}")


def test_arguments_before_the_name_wait_for_it() -> None:
    stream = called(piece(0, "{", id="x")) + called(piece(0, "}", name="f")) + finish()
    assert deltas_of(stream + DONE)[0] == [ToolCallDelta(0, "{}", "x", "f"), Finish("tool_calls")]


def test_half_formed_arguments_pass_as_they_are() -> None:
    stream = called(piece(0, '{"city": "Par', id="x", name="f")) + finish("length")
    assert deltas_of(stream + DONE)[0] == [ToolCallDelta(0, '{"city": "Par', "x", "f"), Finish("length")]


def test_calls_of_several_choices_are_counted_apart() -> None:
    stream = called(piece(0, "1", id="x", name="f")) + called(piece(0, "2", id="y", name="f"), choice=1)
    deltas, _ = deltas_of(stream + finish("tool_calls", 0) + finish("tool_calls", 1) + DONE, choices=2)
    assert deltas[:2] == [ToolCallDelta(0, "1", "x", "f", 0), ToolCallDelta(0, "2", "y", "f", 1)]


def test_text_before_a_call_stays() -> None:
    stream = text("Let me see.") + called(piece(0, "{}", id="x", name="f")) + finish("tool_calls")
    assert deltas_of(stream + DONE)[0][0] == TextDelta("Let me see.")


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


@pytest.mark.parametrize(
    ("sent", "excluded", "counted"),
    [
        # OpenAI
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 30}},
            False,
            Usage(100, 9, 60, cache_written_input_tokens=30),
        ),
        # vLLM
        (
            {"prompt_tokens": 100, "prompt_tokens_details": {"cached_tokens": 0, "created_cache_tokens": 30}},
            False,
            Usage(100, 9, cache_written_input_tokens=30),
        ),
        # DeepSeek
        ({"prompt_tokens": 100, "prompt_cache_hit_tokens": 40}, False, Usage(100, 9, 40)),
        # DigitalOcean, for one of Anthropic's models: prompt_tokens has none of the 1,043 that were cached.
        (
            {
                "prompt_tokens": 14,
                "prompt_tokens_details": {"cached_tokens": 0},
                "cache_created_input_tokens": 1043,
                "cache_creation": {"ephemeral_1h_input_tokens": 43, "ephemeral_5m_input_tokens": 1000},
                "cache_read_input_tokens": 0,
            },
            True,
            Usage(1057, 9, 0, cache_written_input_tokens=1043, cache_written_1h_input_tokens=43),
        ),
    ],
)
def test_what_a_cache_had_is_counted_once(sent: dict[str, object], excluded: bool, counted: Usage) -> None:
    fold = ChatStream("m", 1, input_excludes_cache=excluded)
    deltas = fold.feed(finish() + event({"choices": [], "usage": {"completion_tokens": 9, **sent}}) + DONE)
    assert deltas[-1] == UsageReport(counted)


def test_of_continuous_usage_one_report_a_batch_is_enough() -> None:
    counted = {"prompt_tokens": 5, "completion_tokens": 2}
    first = chunk({"index": 0, "delta": {"content": "a"}}, usage={"prompt_tokens": 5, "completion_tokens": 1})
    assert ChatStream("m", 1).feed(first + chunk({"index": 0, "delta": {"content": "b"}}, usage=counted)) == [
        TextDelta("a"),
        TextDelta("b"),
        UsageReport(Usage(5, 2)),
    ]


def test_the_ids_of_tokens_are_counted_as_they_come_a_report_a_batch() -> None:
    fold = ChatStream("m", 2)
    opening = chunk({"index": 0, "delta": {"role": "assistant", "content": ""}}, prompt_token_ids=[1, 2, 3, 4])
    assert fold.feed(opening) == [UsageReport(Usage(4, 0))]
    # The other choice's opening tells the prompt once more; what a parser holds back has no text.
    again = chunk({"index": 1, "delta": {"role": "assistant", "content": ""}}, prompt_token_ids=[1, 2, 3, 4])
    words = chunk({"index": 0, "delta": {"content": "a"}, "token_ids": [7]})
    held_back = chunk({"index": 1, "delta": {}, "token_ids": [8, 9]})
    assert fold.feed(again + words + held_back) == [TextDelta("a"), UsageReport(Usage(4, 3))]
    assert fold.feed(chunk({"index": 0, "delta": {"content": "b"}})) == [TextDelta("b")]


def test_what_the_engine_counts_in_the_end_stands_above_what_was_counted_by_ids() -> None:
    fold = ChatStream("m", 1)
    fold.feed(chunk({"index": 0, "delta": {"content": "a"}, "token_ids": [7]}, prompt_token_ids=[1, 2]))
    last = chunk({"index": 0, "delta": {}, "finish_reason": "stop", "token_ids": [2]})
    counted = {"prompt_tokens": 3, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 1}}
    assert fold.feed(last + event({"choices": [], "usage": counted})) == [Finish("stop"), UsageReport(Usage(3, 2, 1))]


@pytest.mark.parametrize(
    ("error", "branch"),
    [
        # vLLM 0.33 puts an HTTP status into `code`.
        ({"message": "boom", "type": "InternalServerError", "param": None, "code": 500}, EngineUnavailable),
        ({"message": "too long", "type": "BadRequestError", "param": None, "code": 400}, InvalidRequest),
        ({"message": "slow down", "type": "rate_limit_error", "param": None, "code": None}, EngineBusy),
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
