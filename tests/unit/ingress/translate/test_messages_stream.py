"""The stream of a message, as Anthropic's documentation orders it and as its own client reads it."""

import json
from collections.abc import Iterable
from typing import Any

import anthropic
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.translate.anthropic import MessagesFold, MessagesStreamWriter
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
from schemas.errors import ErrorData
from schemas.usage import Usage
from tests.anthropic_client import read_events, read_message, read_stream

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

USAGE = Usage(input_tokens=30, output_tokens=15, cached_input_tokens=4, cache_written_input_tokens=1)
COMPLETED = Ended("completed", USAGE)


def written(chunks: Iterable[Chunk], *, at_once: bool = False) -> bytes:
    writer = MessagesStreamWriter("job_0123", "my-model", 25)
    chunks = list(chunks)
    return b"".join(writer.write(call) for call in ([chunks] if at_once else [[chunk] for chunk in chunks]))


def events(stream: bytes) -> list[dict[str, Any]]:
    """The data of each event, once its name has been seen to be its type."""
    found = []
    assert stream.endswith(b"\n\n")
    for event in stream.decode()[:-2].split("\n\n"):
        name, data = event.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
        assert len(event.splitlines()) == 2
    return found


def blocks(stream: bytes) -> list[tuple[dict[str, Any], str]]:
    """Each block's start and its joined pieces; asserts that blocks follow one another."""
    found: list[tuple[dict[str, Any], list[str]]] = []
    is_open = False
    for event in events(stream):
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(found)
                found.append((event["content_block"], []))
                is_open = True
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(found) - 1
                kind, *rest = event["delta"].values()
                found[-1][1].append(str(*rest))
                assert kind.endswith("_delta")
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(found) - 1
                is_open = False
            case "message_delta":
                assert not is_open
    return [(start, "".join(pieces)) for start, pieces in found]


def test_the_order_is_the_documentations() -> None:
    stream = written([TextDelta("Hello"), TextDelta("!"), Finish("stop"), COMPLETED])
    assert events(stream) == [
        {
            "type": "message_start",
            "message": {
                "id": "msg_0123",
                "type": "message",
                "role": "assistant",
                "model": "my-model",
                "content": [],
                "stop_reason": None,
                "stop_sequence": None,
                "usage": {
                    "input_tokens": 25,
                    "output_tokens": 0,
                    "cache_creation_input_tokens": 0,
                    "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                    "cache_read_input_tokens": 0,
                },
            },
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "!"}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {
                "input_tokens": 25,
                "output_tokens": 15,
                "cache_creation_input_tokens": 1,
                "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 0},
                "cache_read_input_tokens": 4,
            },
        },
        {"type": "message_stop"},
    ]


async def test_the_client_puts_every_kind_of_block_together() -> None:
    stream = written(
        [
            ReasoningDelta("Let me"),
            ReasoningDelta(" see."),
            Signature("c2ln"),
            RedactedReasoning("ZGF0YQ"),
            TextDelta("It is"),
            TextDelta(" so."),
            ToolCallDelta(0, '{"city": ', "toolu_1", "weather"),
            ToolCallDelta(0, '"Paris"}'),
            Finish("tool_calls"),
            COMPLETED,
        ]
    )
    fired, message = await read_stream(stream)
    assert [block.to_dict() for block in message.content] == [
        {"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZGF0YQ"},
        {"type": "text", "text": "It is so."},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    ]
    assert (message.id, message.model, message.stop_reason) == ("msg_0123", "my-model", "tool_use")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (25, 15)
    assert (message.usage.cache_read_input_tokens, message.usage.cache_creation_input_tokens) == (4, 1)
    assert fired[-1].type == "message_stop"


def test_a_signature_comes_just_before_its_blocks_stop() -> None:
    kinds = [
        event.get("delta", {}).get("type") or event["type"]
        for event in events(written([ReasoningDelta("a"), Signature("s"), TextDelta("b"), Finish("stop"), COMPLETED]))
    ]
    place = kinds.index("signature_delta")
    assert kinds[place - 1 : place + 2] == ["thinking_delta", "signature_delta", "content_block_stop"]


def test_a_signature_alone_is_a_block_whose_thinking_is_not_shown() -> None:
    assert blocks(written([Signature("s"), Finish("stop"), COMPLETED])) == [
        ({"type": "thinking", "thinking": "", "signature": ""}, "s")
    ]


def test_a_stream_that_opens_with_a_tool_call_still_begins_with_message_start() -> None:
    found = events(written([ToolCallDelta(0, "{}", "t", "f"), Finish("tool_calls"), COMPLETED]))
    assert [event["type"] for event in found[:2]] == ["message_start", "content_block_start"]
    assert found[1]["content_block"] == {"type": "tool_use", "id": "t", "name": "f", "input": {}}


def test_a_message_without_content_has_a_start_and_a_stop() -> None:
    assert [event["type"] for event in events(written([Finish("stop"), COMPLETED]))] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]


def calls(stream: bytes) -> list[tuple[str, str]]:
    return [(start["id"], pieces) for start, pieces in blocks(stream) if start["type"] == "tool_use"]


def test_parallel_calls_one_after_the_other_stream_as_they_come() -> None:
    writer = MessagesStreamWriter("job_1", "m", 1)
    assert b'"id":"a"' in writer.write([ToolCallDelta(0, "", "a", "f"), ToolCallDelta(0, '{"x":1}')])
    assert b'"id":"b"' in writer.write([ToolCallDelta(1, "", "b", "f")])
    assert b"partial_json" in writer.write([ToolCallDelta(1, '{"y"')])


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [
                ToolCallDelta(0, '{"x"', "a", "f"),
                ToolCallDelta(1, '{"y"', "b", "g"),
                ToolCallDelta(0, ":1}"),
                ToolCallDelta(1, ":2}"),
            ],
            id="in turns",
        ),
        pytest.param(
            [
                ToolCallDelta(0, "", "a", "f"),
                ToolCallDelta(1, "", "b", "g"),
                ToolCallDelta(1, '{"y":2}'),
                ToolCallDelta(0, '{"x":1}'),
            ],
            id="both opened first",
        ),
        pytest.param(
            [
                ToolCallDelta(0, '{"x":1}', "a", "f"),
                ToolCallDelta(1, '{"y":2}', "b", "g"),
                ToolCallDelta(0, ""),
                ToolCallDelta(1, ""),
            ],
            id="each with an empty last word",
        ),
    ],
)
def test_interleaved_calls_become_blocks_one_after_the_other(chunks: list[Chunk]) -> None:
    stream = written([*chunks, Finish("tool_calls"), COMPLETED])
    arguments = {call_id: json.loads(text) for call_id, text in calls(stream)}
    assert arguments == {"a": {"x": 1}, "b": {"y": 2}}


def test_text_in_the_middle_of_a_call_comes_after_it() -> None:
    stream = written(
        [ToolCallDelta(0, '{"x"', "a", "f"), TextDelta("so"), ToolCallDelta(0, ":1}"), TextDelta("!"), Finish("stop")]
    )
    assert [(start["type"], pieces) for start, pieces in blocks(stream)] == [("tool_use", '{"x":1}'), ("text", "so!")]


def test_half_formed_arguments_pass_as_they_are() -> None:
    chunks = [ToolCallDelta(0, '{"x": [1', "a", "f"), ToolCallDelta(1, "nonsense", "b", "g"), TextDelta("?")]
    stream = written([*chunks, Finish("length"), COMPLETED])
    assert calls(stream) == [("a", '{"x": [1'), ("b", "nonsense")]
    assert blocks(stream)[-1] == ({"type": "text", "text": ""}, "?")


def test_what_only_this_dialect_knows_comes_back_as_it_was() -> None:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    citation = {"type": "citations_delta", "citation": {"type": "page_location", "cited_text": "y"}}
    stream = written(
        [
            OpaquePiece("anthropic", search),
            TextDelta("one"),
            OpaquePiece("anthropic", citation, whole=False),
            OpaquePiece("anthropic", {"type": "content_block_stop"}, whole=False),
            TextDelta("two"),
            OpaquePiece("klingon", {"type": "text", "text": "nuqneH"}),
            Finish("stop", native="pause_turn"),
            COMPLETED,
        ]
    )
    assert [start["type"] for start, _ in blocks(stream)] == ["server_tool_use", "text", "text"]
    assert blocks(stream)[0][0] == search
    assert [event["delta"] for event in events(stream) if event.get("delta", {}).get("type") == "citations_delta"] == [
        citation
    ]
    assert events(stream)[-2]["delta"]["stop_reason"] == "pause_turn"


@pytest.mark.parametrize(
    ("before", "finish", "reason", "sequence"),
    [
        ([TextDelta("a")], Finish("stop"), "end_turn", None),
        ([TextDelta("a")], Finish("length"), "max_tokens", None),
        ([TextDelta("a")], Finish("stop", stop_sequence="END"), "stop_sequence", "END"),
        ([TextDelta("a")], Finish("content_filter"), "refusal", None),
        ([RefusalDelta("I can't.")], Finish("stop"), "refusal", None),
        ([ToolCallDelta(0, "{}", "t", "f")], Finish("tool_calls"), "tool_use", None),
        ([ToolCallDelta(0, "{}", "t", "f")], Finish("stop"), "tool_use", None),
        (
            [TextDelta("a")],
            Finish("length", native="model_context_window_exceeded"),
            "model_context_window_exceeded",
            None,
        ),
    ],
)
async def test_why_it_stopped(before: list[Chunk], finish: Finish, reason: str, sequence: str | None) -> None:
    _, message = await read_stream(written([*before, finish, COMPLETED]))
    assert (message.stop_reason, message.stop_sequence) == (reason, sequence)


REFUSED = {"type": "refusal", "category": "cyber", "explanation": "It would do harm."}
TOLD = {"server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}, "service_tier": "priority"}


async def test_what_only_its_provider_tells_at_the_end_comes_back_streamed_and_whole() -> None:
    finish = Finish("content_filter", details={"stop_details": REFUSED}, usage_details=TOLD)
    _, streamed = await read_stream(written([TextDelta("No"), finish, COMPLETED]))
    assert streamed.stop_details is not None
    assert streamed.stop_details.to_dict() == REFUSED
    assert streamed.usage.server_tool_use is not None
    assert streamed.usage.server_tool_use.to_dict() == TOLD["server_tool_use"]
    assert events(written([TextDelta("No"), finish, COMPLETED]))[-2]["usage"]["service_tier"] == "priority"
    fold = MessagesFold("job_1", "m")
    fold.add([TextDelta("No"), finish, COMPLETED])
    whole = await read_message(fold.reply())
    assert whole.stop_details == streamed.stop_details
    assert (whole.usage.service_tier, whole.usage.server_tool_use) == ("priority", streamed.usage.server_tool_use)
    assert whole.usage.output_tokens == USAGE.output_tokens


OVERLOADED = ErrorData("overloaded", "No room.", 503, retryable=True)


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Ended("failed", Usage(), OVERLOADED), "overloaded_error"),
        (Ended("failed", Usage(), ErrorData("engine_unavailable", "Gone.", 502, retryable=True)), "overloaded_error"),
        (Ended("failed", Usage(), ErrorData("stream_cut", "Cut.", 502)), "api_error"),
        (Ended("completed", USAGE), "api_error"),
        (Ended("expired", USAGE), "api_error"),
    ],
)
async def test_a_cut_stream_ends_with_an_error_and_never_with_message_stop(end: Ended, kind: str) -> None:
    stream = written([TextDelta("a"), end])
    assert events(stream)[-1]["error"]["type"] == kind
    assert b"message_stop" not in stream
    assert b"message_delta" not in stream
    with pytest.raises(anthropic.APIStatusError) as raised:
        await read_events(stream)
    assert raised.value.body == events(stream)[-1]


def test_nothing_is_written_after_the_end() -> None:
    writer = MessagesStreamWriter("job_1", "m", 1)
    writer.write([Finish("stop"), COMPLETED])
    assert writer.write([TextDelta("more"), Finish("stop"), COMPLETED]) == b""


async def test_a_ping_is_an_event_that_clients_pass_over() -> None:
    stream = written([TextDelta("a"), Finish("stop"), COMPLETED])
    assert events(MessagesStreamWriter.ping) == [{"type": "ping"}]
    assert await read_events(MessagesStreamWriter.ping + stream) == await read_events(stream)


@pytest.mark.parametrize("text", ["a\nb", "\u2028\u2029\u0085", '"\\', "\x00\x1f", "é𝄞"])
async def test_any_text_stays_in_its_line(text: str) -> None:
    stream = written(
        [ReasoningDelta(text), TextDelta(text), ToolCallDelta(0, text, text, text), Finish("stop"), COMPLETED]
    )
    assert [pieces for _, pieces in blocks(stream)] == [text, text, text]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DELTAS: st.SearchStrategy[Chunk] = st.one_of(
    TEXTS.map(TextDelta),
    TEXTS.map(ReasoningDelta),
    TEXTS.map(RefusalDelta),
    TEXTS.map(Signature),
    TEXTS.map(RedactedReasoning),
    st.builds(ToolCallDelta, st.integers(0, 2), st.sampled_from(["", '{"a"', ":1}", "{}", "x"])),
    st.just(UsageReport(USAGE)),
)


@UNHURRIED
@given(st.lists(DELTAS, max_size=12))
def test_any_stream_is_well_formed_and_says_what_the_whole_reply_says(deltas: list[Chunk]) -> None:
    chunks = [*deltas, Finish("stop"), COMPLETED]
    stream = written(chunks)
    assert stream == written(chunks, at_once=True)
    found = events(stream)
    assert [event["type"] for event in found].count("message_start") == 1
    assert found[0]["type"] == "message_start"
    assert found[-1]["type"] == "message_stop"
    fold = MessagesFold("job_0123", "my-model")
    fold.add(chunks)
    whole = json.loads(fold.reply())
    streamed = blocks(stream)
    for kind in ("text", "thinking"):
        said = "".join(pieces for start, pieces in streamed if start["type"] == kind)
        signatures = "".join(block.get("signature", "") for block in whole["content"] if block["type"] == kind)
        spoken = "".join(block[kind] for block in whole["content"] if block["type"] == kind)
        assert sorted(said) == sorted(spoken + signatures)
    assert whole["stop_reason"] == found[-2]["delta"]["stop_reason"]
    assert whole["usage"] == found[-2]["usage"]


async def test_the_whole_reply_is_the_message_that_the_stream_makes() -> None:
    chunks: list[Chunk] = [
        ReasoningDelta("Let me see."),
        Signature("c2ln"),
        TextDelta("It"),
        TextDelta(" is."),
        ToolCallDelta(0, '{"x":', "a", "f", extras={"caller": {"type": "direct"}}),
        ToolCallDelta(1, "{}", "b", "g"),
        ToolCallDelta(0, "1}"),
        Finish("tool_calls"),
        COMPLETED,
    ]
    fold = MessagesFold("job_0123", "my-model")
    fold.add(chunks)
    _, streamed = await read_stream(written(chunks))
    whole = await read_message(fold.reply())
    assert whole.content == [
        type(w).construct(**s.to_dict()) for w, s in zip(whole.content, streamed.content, strict=True)
    ]
    assert (whole.stop_reason, whole.id) == (streamed.stop_reason, streamed.id)


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ('{"x": 1}', {"x": 1}),
        ("", {}),
        (" ", {}),
        ('{"x": [1', '{"x": [1'),
        ("[1]", "[1]"),
        ('"text"', '"text"'),
    ],
)
def test_arguments_that_are_no_object_come_as_their_text(arguments: str, given: Any) -> None:
    fold = MessagesFold("job_1", "m")
    fold.add([ToolCallDelta(0, arguments, "a", "f"), Finish("tool_calls"), COMPLETED])
    (block,) = json.loads(fold.reply())["content"]
    assert block["input"] == given


def test_a_whole_reply_that_was_cut_is_an_error() -> None:
    fold = MessagesFold("job_1", "m")
    fold.add([TextDelta("a"), Ended("completed", USAGE)])
    assert fold.error is not None
    assert fold.error.code == "stream_cut"
