"""What the stream and the whole reply of a chat completion share: its name, its usage, its unfinished end."""

from typing import Any

from schemas.chunks import Ended
from schemas.errors import ErrorData, InternalError, StreamCut
from schemas.usage import Usage


def usage_body(usage: Usage) -> dict[str, Any]:
    """The `usage` object; `prompt_tokens` includes what came from a cache and what was written to it.

    OpenAI's details and DigitalOcean's `cache_*` fields say the same.
    """
    written, hour = usage.cache_written_input_tokens, usage.cache_written_1h_input_tokens
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "cache_read_input_tokens": usage.cached_input_tokens,
        "cache_created_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": written - hour, "ephemeral_1h_input_tokens": hour},
    }


def completion_id(job_id: str) -> str:
    """What a completion is called: OpenAI's prefix and the job's own number."""
    return "chatcmpl-" + job_id.removeprefix("job_")


def end_error(ended: Ended, *, finished: bool) -> ErrorData | None:
    """Why a job's end is not a completion's clean end; None when it is one.

    A completion without a finish reason for every choice is a cut stream, whatever the worker called it.
    """
    if ended.error is not None:
        return ended.error
    if ended.end != "completed":
        return InternalError(f"The job ended as {ended.end} without a reason.").data()
    if not finished:
        return StreamCut("The model's output stopped without a finish reason.").data()
    return None
