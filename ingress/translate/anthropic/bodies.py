"""What the stream and the whole reply of a message share: its name, its usage, why it stopped."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.chunks import Finish, FinishReason
from schemas.usage import Usage

STOP_REASONS: Final[Mapping[FinishReason, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
NATIVE_STOP_REASONS: Final = frozenset({"pause_turn", "model_context_window_exceeded"})
"""Reasons that only this dialect tells apart; its own provider says them."""


def message_id(job_id: str) -> str:
    """What a message is called: Anthropic's prefix and the job's own number."""
    return "msg_" + job_id.removeprefix("job_")


def head(job_id: str, model: str) -> dict[str, Any]:
    return {"id": message_id(job_id), "type": "message", "role": "assistant", "model": model}


def usage_body(usage: Usage) -> dict[str, Any]:
    """The `usage` object, whose `input_tokens` are only those that no cache was involved in."""
    cached, written = usage.cached_input_tokens, usage.cache_written_input_tokens
    hour = usage.cache_written_1h_input_tokens
    body: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - cached - written),
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
        "cache_read_input_tokens": cached,
        "output_tokens": usage.output_tokens,
    }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body


def count_body(input_tokens: int) -> bytes:
    return msgspec.json.encode({"input_tokens": input_tokens})


def end_usage(usage: Usage, finish: Finish) -> dict[str, Any]:
    """The `usage` at a message's end, with what only this dialect's provider tells in it."""
    return {**usage_body(usage), **(finish.usage_details or {})}


def stop_reason(finish: Finish, *, called: bool, refused: bool) -> str:
    """Why the message stopped, given whether it held tool calls or a refusal.

    A provider may call the end of a forced tool call a plain stop; to this dialect's clients it is a tool's turn.
    """
    if finish.native in NATIVE_STOP_REASONS:
        return finish.native
    if finish.reason == "stop":
        if finish.stop_sequence is not None:
            return "stop_sequence"
        if refused:
            return "refusal"
        if called:
            return "tool_use"
    return STOP_REASONS[finish.reason]


def tool_id(job_id: str, index: int) -> str:
    """What a call is called whose engine gave it no name of its own."""
    return f"toolu_{job_id.removeprefix('job_')}_{index}"
