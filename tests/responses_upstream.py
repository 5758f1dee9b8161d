"""What a scripted upstream says when it speaks OpenAI's Responses; the server is `tests.upstream.Upstream`.

Events stand as in OpenAI's reference of streaming events (2026-11), with the fields that the reference requires.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tests.upstream import Reply, Step

RESPONSE: Final[Mapping[str, Any]] = {
    "id": "resp_upstream",
    "object": "response",
    "created_at": 1763800000,
    "model": "scripted",
    "output": [],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": 0, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


def response(kind: str, **fields: Any) -> bytes:
    status = kind.rpartition(".")[2].replace("created", "in_progress")
    return event(kind, response={**RESPONSE, "status": status, **fields})


def usage(input_tokens: int, output_tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0) -> dict[str, Any]:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": input_tokens + output_tokens,
    }


def begin() -> bytes:
    return response("response.created") + response("response.in_progress")


def item(kind: str, index: int, **body: Any) -> bytes:
    """`response.output_item.added` or `.done`, by `kind`."""
    return event(f"response.output_item.{kind}", output_index=index, item=body)


def text_delta(piece: str, index: int = 0, logprobs: Iterable[Mapping[str, Any]] = ()) -> bytes:
    place = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    return event("response.output_text.delta", **place, delta=piece, logprobs=list(logprobs))


def text(index: int, *pieces: str) -> list[bytes]:
    """A message from its beginning to its end."""
    place = {"item_id": "msg_1", "output_index": index, "content_index": 0}
    whole = {"type": "output_text", "text": "".join(pieces), "annotations": [], "logprobs": []}
    head = {"type": "message", "id": "msg_1", "role": "assistant"}
    return [
        item("added", index, **head, status="in_progress", content=[]),
        event("response.content_part.added", **place, part={**whole, "text": ""}),
        *(text_delta(piece, index) for piece in pieces),
        event("response.output_text.done", **place, text=whole["text"], logprobs=[]),
        event("response.content_part.done", **place, part=whole),
        item("done", index, **head, status="completed", content=[whole]),
    ]


def call(index: int, call_id: str, name: str, *pieces: str) -> list[bytes]:
    """A function call from its beginning to its end."""
    head = {"type": "function_call", "id": f"fc_{index}", "call_id": call_id, "name": name}
    place = {"item_id": f"fc_{index}", "output_index": index}
    whole = "".join(pieces)
    return [
        item("added", index, **head, status="in_progress", arguments=""),
        *(event("response.function_call_arguments.delta", **place, delta=piece) for piece in pieces),
        event("response.function_call_arguments.done", **place, name=name, arguments=whole),
        item("done", index, **head, status="completed", arguments=whole),
    ]


def reasoning(index: int, *pieces: str, sealed: str | None = None) -> list[bytes]:
    """A summary of reasoning in one part, from its beginning to its end."""
    place = {"item_id": f"rs_{index}", "output_index": index, "summary_index": 0}
    whole = {"type": "summary_text", "text": "".join(pieces)}
    head = {"type": "reasoning", "id": f"rs_{index}", "encrypted_content": sealed}
    return [
        item("added", index, **head, summary=[]),
        event("response.reasoning_summary_part.added", **place, part={**whole, "text": ""}),
        *(event("response.reasoning_summary_text.delta", **place, delta=piece) for piece in pieces),
        event("response.reasoning_summary_text.done", **place, text=whole["text"]),
        event("response.reasoning_summary_part.done", **place, part=whole),
        item("done", index, **head, summary=[whole]),
    ]


def end(input_tokens: int = 7, output_tokens: int = 2, **counts: int) -> bytes:
    return response("response.completed", usage=usage(input_tokens, output_tokens, **counts))


def incomplete(reason: str, input_tokens: int = 7, output_tokens: int = 2) -> bytes:
    counted = usage(input_tokens, output_tokens)
    return response("response.incomplete", incomplete_details={"reason": reason}, usage=counted)


def stream(*parts: bytes | Iterable[Step]) -> Reply:
    """The beginning of a response and what else is given, in HTTP chunks of their own."""
    steps: list[Step] = [begin()]
    for part in parts:
        steps += [part] if isinstance(part, bytes) else list(part)
    return Reply(steps)


def answer(*pieces: str, input_tokens: int = 7) -> Reply:
    """A whole, well-behaved stream of text: one token a piece."""
    return stream(text(0, *pieces), end(input_tokens, len(pieces)))
