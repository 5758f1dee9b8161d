"""What a scripted upstream says when it speaks Anthropic's Messages; the server is `tests.upstream.Upstream`.

Events stand as in Anthropic's documentation of streaming (2026-11).
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.upstream import Reply, Step, Upstream

PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def start(input_tokens: int = 7, **usage: Any) -> bytes:
    message = {
        "id": "msg_upstream",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "claude-scripted",
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": input_tokens, "output_tokens": 1, **usage},
    }
    return event("message_start", message=message)


def delta(index: int, kind: str, **fields: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **fields})


def block(index: int, body: Mapping[str, Any], *deltas: bytes) -> list[bytes]:
    """A block from its start to its stop."""
    return [
        event("content_block_start", index=index, content_block=body),
        *deltas,
        event("content_block_stop", index=index),
    ]


def text(index: int, *pieces: str) -> list[bytes]:
    return block(index, {"type": "text", "text": ""}, *(delta(index, "text_delta", text=piece) for piece in pieces))


def thinking(index: int, *pieces: str, signature: str = "c2ln") -> list[bytes]:
    thoughts = [delta(index, "thinking_delta", thinking=piece) for piece in pieces]
    signed = delta(index, "signature_delta", signature=signature)
    return block(index, {"type": "thinking", "thinking": "", "signature": ""}, *thoughts, signed)


def tool_use(index: int, call_id: str, name: str, *pieces: str) -> list[bytes]:
    body = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, body, *(delta(index, "input_json_delta", partial_json=piece) for piece in pieces))


def end(stop_reason: str = "end_turn", output_tokens: int = 3, stop_sequence: str | None = None, **usage: Any) -> bytes:
    stop = {"stop_reason": stop_reason, "stop_sequence": stop_sequence}
    counted = event("message_delta", delta=stop, usage={"output_tokens": output_tokens, **usage})
    return counted + event("message_stop")


def answer(*pieces: str, input_tokens: int = 7) -> Reply:
    """A whole, well-behaved stream of text."""
    return stream(text(0, *pieces), end(output_tokens=len(pieces)), input_tokens=input_tokens)


def stream(*parts: bytes | Iterable[Step], input_tokens: int = 7) -> Reply:
    """A message_start, a ping, and what else is given, in HTTP chunks of their own."""
    steps: list[Step] = [start(input_tokens), PING]
    for part in parts:
        steps += [part] if isinstance(part, bytes) else list(part)
    return Reply(steps)


def refusal(status: int, kind: str, message: str, **headers: str) -> Reply:
    """An HTTP error with Anthropic's envelope."""
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_upstream"}
    return Reply([json.dumps(body).encode()], status, {"Content-Type": "application/json", **headers})


def error(kind: str, message: str = "Overloaded") -> bytes:
    """An error in the middle of a stream."""
    return event("error", error={"type": kind, "message": message})


def upstream() -> Upstream:
    """A server that answers in this dialect."""
    server = Upstream()
    server.otherwise = answer("Hello", " there")
    return server
