"""The usage object of chat completions, as OpenAI and those who speak its dialect write it."""

import msgspec

from schemas.usage import Usage


class _InputDetails(msgspec.Struct, gc=False):
    """`cache_write_tokens` is OpenAI's, `created_cache_tokens` vLLM's."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    created_cache_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Created(msgspec.Struct, gc=False):
    ephemeral_1h_input_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """The `cache_*` fields beside OpenAI's details are DigitalOcean's and another Penstock's, `prompt_cache_hit_tokens`
    is DeepSeek's."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    cache_read_input_tokens: int | None = None
    cache_created_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _Created | None = None
    prompt_cache_hit_tokens: int | None = None

    def canonical(self, input_excludes_cache: bool = False) -> Usage:
        """OpenAI's `prompt_tokens` includes what a cache had; DigitalOcean's leaves it out for Anthropic's models."""
        inputs, outputs, created = self.prompt_tokens_details, self.completion_tokens_details, self.cache_creation
        read = (inputs and inputs.cached_tokens) or self.cache_read_input_tokens or self.prompt_cache_hit_tokens or 0
        written = (
            (inputs and (inputs.cache_write_tokens or inputs.created_cache_tokens))
            or self.cache_created_input_tokens
            or self.cache_creation_input_tokens
            or 0
        )
        beside = read + written if input_excludes_cache else 0
        return Usage(
            input_tokens=(self.prompt_tokens or 0) + beside,
            output_tokens=self.completion_tokens or 0,
            cached_input_tokens=read,
            reasoning_tokens=(outputs.reasoning_tokens or 0) if outputs else 0,
            cache_written_input_tokens=written,
            cache_written_1h_input_tokens=(created.ephemeral_1h_input_tokens or 0) if created else 0,
        )
