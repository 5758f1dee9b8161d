"""What each provider's dialect costs a chunk, of whatever kind; the platform's limit is LIMIT_US."""

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Final

from benchmarks.micro.doors import LIMIT_US
from benchmarks.micro.material import MODEL
from benchmarks.micro.timing import Timing, timed
from schemas.chunks import Delta
from workers.engines.anthropic_stream import MessagesStream
from workers.engines.openai_responses_stream import ResponsesStream
from workers.engines.openai_stream import ChatStream
from workers.engines.upstream import Fold


def _chat(**delta: Any) -> bytes:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1763800000, "model": "m"}
    return _event({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}]})


def _call(arguments: str, **fields: str) -> bytes:
    return _chat(tool_calls=[{"index": 0, **fields, "function": {"arguments": arguments, "name": fields.get("id")}}])


def _response(kind: str, **fields: Any) -> bytes:
    place = {"item_id": "i_1", "output_index": 0, "content_index": 0, "sequence_number": 4}
    return _event({"type": f"response.{kind}", **place, **fields})


def _message(kind: str, **delta: str) -> bytes:
    return _event({"type": "content_block_delta", "index": 0, "delta": {"type": kind, **delta}})


def _block(**block: Any) -> bytes:
    return _event({"type": "content_block_start", "index": 0, "content_block": block})


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


STREAMS: Final[Mapping[str, Mapping[str, tuple[bytes, bytes]]]] = {
    "openai_compatible": {
        "text": (b"", _chat(content=" tide")),
        "reasoning": (b"", _chat(reasoning_content=" tide")),
        "a tool call's piece": (_call("", id="call_1"), _call('{"at":')),
    },
    "openai_responses": {
        "text": (b"", _response("output_text.delta", delta=" tide", logprobs=[])),
        "reasoning": (b"", _response("reasoning_text.delta", delta=" tide")),
        "a tool call's piece": (
            _response("output_item.added", item={"type": "function_call", "call_id": "call_1", "name": "tide"}),
            _response("function_call_arguments.delta", delta='{"at":'),
        ),
    },
    "anthropic": {
        "text": (_block(type="text", text=""), _message("text_delta", text=" tide")),
        "reasoning": (_block(type="thinking", thinking=""), _message("thinking_delta", thinking=" tide")),
        "a tool call's piece": (
            _block(type="tool_use", id="call_1", name="tide", input={}),
            _message("input_json_delta", partial_json='{"at":'),
        ),
    },
}
"""What opens a part of an answer, if anything does, and what it then goes on with."""


def measure() -> Iterator[Timing]:
    for provider, kinds in STREAMS.items():
        for kind, (first, more) in kinds.items():
            stream = _fold(provider)
            stream.feed(first)
            assert stream.feed(more), f"{provider} makes nothing of {kind}"
            yield timed(f"{provider}: {kind}, a chunk (limit {LIMIT_US:.0f})", partial(stream.feed, more))


def _fold(provider: str) -> Fold[Delta]:
    match provider:
        case "openai_compatible":
            return ChatStream(MODEL.id, 1)
        case "openai_responses":
            return ResponsesStream(MODEL.id)
        case _:
            return MessagesStream(MODEL.id)
