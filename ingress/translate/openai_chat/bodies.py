"""What the stream and the whole reply of a chat completion share: its name and its usage."""

from typing import Any

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
