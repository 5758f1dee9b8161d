"""Messages events to deltas; the events are those of Anthropic's documentation of streaming."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.chunks import (
    Delta,
    Finish,
    OpaquePiece,
    ReasoningDelta,
    RedactedReasoning,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest, PenstockError, StreamCut
from schemas.usage import Usage
from tests.anthropic_upstream import (
    PING,
    block,
    delta,
    end,
    error,
    event,
    start,
    text,
    thinking,
    tool_use,
)
from workers.engine import EngineBusy
from workers.engines.anthropic_stream import MessagesStream


def deltas_of(*stream: bytes | list[bytes]) -> tuple[list[Delta], PenstockError | None]:
    fold = MessagesStream("m")
    deltas = fold.feed(b"".join(part if isinstance(part, bytes) else b"".join(part) for part in stream))
    if not fold.done and fold.failure is None:
        deltas += fold.end()
    return deltas, fold.failure


def test_a_whole_stream() -> None:
    deltas, failure = deltas_of(start(25), PING, text(0, "Hel", "lo"), end(output_tokens=15))
    assert failure is None
    assert deltas == [TextDelta("Hel"), TextDelta("lo"), Finish("stop"), UsageReport(Usage(25, 15))]


def test_input_tokens_include_what_was_read_from_a_cache_and_written_to_one() -> None:
    deltas, _ = deltas_of(
        start(
            3,
            cache_read_input_tokens=40,
            cache_creation_input_tokens=7,
            cache_creation={"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 5},
        ),
        text(0, "a"),
        end(output_tokens=9, output_tokens_details={"thinking_tokens": 4}),
    )
    assert deltas[-1] == UsageReport(
        Usage(
            input_tokens=50,
            output_tokens=9,
            cached_input_tokens=40,
            reasoning_tokens=4,
            cache_written_input_tokens=7,
            cache_written_1h_input_tokens=5,
        )
    )


def test_a_later_count_stands() -> None:
    deltas, _ = deltas_of(start(3), text(0, "a"), end(output_tokens=9, input_tokens=11, cache_read_input_tokens=2))
    assert deltas[-1] == UsageReport(Usage(13, 9, cached_input_tokens=2))


def test_nothing_has_begun_before_there_is_output() -> None:
    assert MessagesStream("m").feed(start(25) + PING) == []


def test_until_the_provider_counts_the_output_is_estimated() -> None:
    fold = MessagesStream("m")
    fold.feed(start(25))
    assert fold.feed(b"".join(text(0, "x" * 40))) == [
        TextDelta("x" * 40),
        UsageReport(Usage(25, 10, estimated=True)),
    ]


def test_thinking_is_signed_and_what_is_redacted_stays_so() -> None:
    deltas, failure = deltas_of(
        start(),
        thinking(0, "Let me", " see.", signature="c2ln"),
        block(1, {"type": "redacted_thinking", "data": "ZGF0YQ"}),
        text(2, "Yes."),
        end(),
    )
    assert failure is None
    assert deltas[:-2] == [
        ReasoningDelta("Let me"),
        ReasoningDelta(" see."),
        Signature("c2ln"),
        RedactedReasoning("ZGF0YQ"),
        TextDelta("Yes."),
    ]


def test_calls_are_numbered_by_themselves() -> None:
    deltas, failure = deltas_of(
        start(),
        text(0, "Both."),
        tool_use(1, "toolu_1", "weather", '{"city": ', '"Paris"}'),
        tool_use(2, "toolu_2", "now"),
        end("tool_use"),
    )
    assert failure is None
    assert deltas[1:-1] == [
        ToolCallDelta(0, "", "toolu_1", "weather"),
        ToolCallDelta(0, '{"city": '),
        ToolCallDelta(0, '"Paris"}'),
        ToolCallDelta(1, "", "toolu_2", "now"),
        Finish("tool_calls"),
    ]


def test_calls_whose_pieces_come_in_turns_keep_their_numbers() -> None:
    def opened(index: int) -> bytes:
        body = {"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}}
        return event("content_block_start", index=index, content_block=body)

    deltas, _ = deltas_of(
        opened(0),
        opened(1),
        delta(1, "input_json_delta", partial_json='{"b"'),
        delta(0, "input_json_delta", partial_json='{"a"'),
        end("tool_use"),
    )
    assert deltas[2:4] == [ToolCallDelta(1, '{"b"'), ToolCallDelta(0, '{"a"')]


def test_an_input_that_is_given_whole_is_not_lost() -> None:
    body = {"type": "tool_use", "id": "t", "name": "f", "input": {"x": 1}, "caller": {"type": "direct"}}
    deltas, _ = deltas_of(block(0, body), end("tool_use"))
    assert deltas[:2] == [
        ToolCallDelta(0, "", "t", "f", extras={"caller": {"type": "direct"}}),
        ToolCallDelta(0, '{"x":1}'),
    ]


def test_what_only_anthropic_knows_stays_whole() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "x"}]}
    citation = {"type": "web_search_result_location", "url": "https://host/"}
    deltas, failure = deltas_of(
        start(),
        block(
            0,
            use,
            delta(0, "input_json_delta", partial_json='{"query": "pen'),
            delta(0, "input_json_delta", partial_json='stock"}'),
        ),
        block(1, result),
        block(
            2,
            {"type": "text", "text": ""},
            delta(2, "citations_delta", citation=citation),
            delta(2, "text_delta", text="A"),
        ),
        text(3, "B"),
        end("pause_turn"),
    )
    assert failure is None
    assert deltas[:-1] == [
        OpaquePiece("anthropic", {**use, "input": {"query": "penstock"}}),
        OpaquePiece("anthropic", result),
        OpaquePiece("anthropic", {"type": "citations_delta", "citation": citation}, whole=False),
        TextDelta("A"),
        OpaquePiece("anthropic", {"type": "content_block_stop"}, whole=False),
        TextDelta("B"),
        Finish("stop", native="pause_turn"),
    ]


@pytest.mark.parametrize(
    ("reason", "sequence", "finish"),
    [
        ("end_turn", None, Finish("stop")),
        ("stop_sequence", "END", Finish("stop", stop_sequence="END")),
        ("max_tokens", None, Finish("length")),
        ("model_context_window_exceeded", None, Finish("length", native="model_context_window_exceeded")),
        ("tool_use", None, Finish("tool_calls")),
        ("refusal", None, Finish("content_filter")),
        ("something_new", None, Finish("stop")),
    ],
)
def test_stop_reasons(reason: str, sequence: str | None, finish: Finish) -> None:
    deltas, failure = deltas_of(start(), text(0, "a"), end(reason, stop_sequence=sequence))
    assert failure is None
    assert [each for each in deltas if isinstance(each, Finish)] == [finish]


def test_what_is_told_beside_the_reason_and_the_counts() -> None:
    refused = {"type": "refusal", "category": "bio", "explanation": None}
    searched = {"web_search_requests": 1, "web_fetch_requests": 0}
    stop = event(
        "message_delta",
        delta={"stop_reason": "refusal", "stop_sequence": None, "stop_details": refused},
        usage={"output_tokens": 3, "server_tool_use": searched},
    )
    opening = start(3, service_tier="standard", server_tool_use={"web_search_requests": 0, "web_fetch_requests": 0})
    deltas, _ = deltas_of(opening, text(0, "a"), stop, event("message_stop"))
    told = {"server_tool_use": searched, "service_tier": "standard"}
    assert deltas[-2:] == [
        Finish("content_filter", details={"stop_details": refused}, usage_details=told),
        UsageReport(Usage(3, 3)),
    ]


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param([], id="nothing"),
        pytest.param([start()], id="a start"),
        pytest.param([start(), *text(0, "a")], id="a text"),
        pytest.param([start(), *text(0, "a"), event("message_stop")], id="a stop without a reason"),
        pytest.param([start(), *text(0, "a"), b'event: message_delta\ndata: {"type": "mess'], id="half an event"),
    ],
)
def test_a_stream_without_a_stop_reason_is_cut(stream: list[bytes]) -> None:
    _, failure = deltas_of(stream)
    assert isinstance(failure, StreamCut)


@pytest.mark.parametrize(
    ("kind", "branch"),
    [
        ("overloaded_error", EngineBusy),
        ("rate_limit_error", EngineBusy),
        ("api_error", EngineUnavailable),
        ("timeout_error", EngineUnavailable),
        ("authentication_error", EngineRejected),
        ("permission_error", EngineRejected),
        ("invalid_request_error", InvalidRequest),
    ],
)
def test_an_error_in_the_stream_comes_after_what_came_before_it(kind: str, branch: type[PenstockError]) -> None:
    deltas, failure = deltas_of(start(), text(0, "a"), error(kind, "as they say"))
    assert deltas[0] == TextDelta("a")
    assert not any(isinstance(each, Finish) for each in deltas)
    assert type(failure) is branch


def test_a_refusal_of_the_request_is_told_in_the_providers_words() -> None:
    _, failure = deltas_of(error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"))
    assert failure is not None
    assert failure.message == "prompt is too long: 210000 tokens > 200000 maximum"


@pytest.mark.parametrize("garbage", [b"data: {]\n\n", b'data: {"type": 5}\n\n', b"data: []\n\n"])
def test_what_is_no_event_is_the_engines_failure(garbage: bytes) -> None:
    _, failure = deltas_of(start(), garbage)
    assert type(failure) is EngineFailed


def test_new_events_are_passed_over() -> None:
    deltas, failure = deltas_of(start(), event("something_new", x=1), text(0, "a"), end())
    assert (deltas[0], failure) == (TextDelta("a"), None)


WHOLE = b"".join([start(25), PING, *thinking(0, "hé"), *text(1, "𝄞 lo"), *tool_use(2, "t", "f", '{"a":', "1}"), end()])


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=6))
def test_bytes_may_be_split_anywhere(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(WHOLE)]
    fold = MessagesStream("m")
    deltas: list[Delta] = []
    for low, high in pairwise(places):
        deltas += fold.feed(WHOLE[low:high])
    assert fold.done
    assert fold.failure is None
    whole, _ = deltas_of(WHOLE)
    assert [d for d in deltas if not isinstance(d, UsageReport)] == [d for d in whole if not isinstance(d, UsageReport)]
    assert deltas[-1] == whole[-1]
