"""The body of a chat completions request, made from a canonical chat."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from schemas.chat import Chat, Effort, Reasoning, ResponseFormat, Sampling, Tool, ToolChoice
from schemas.dialects import OPENAI_CHAT
from workers.engines.effort import effort_of
from workers.engines.openai_messages import Telling, messages_of

_ENCODER: Final = msgspec.json.Encoder()

# Canonical name to wire name; the last three are vLLM's extensions, and other servers' too.
_SAMPLING: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "top_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "logit_bias": "logit_bias",
    "top_logprobs": "top_logprobs",
    "seed": "seed",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
}

VLLM_EFFORTS: Final[Mapping[Effort, str]] = {"minimal": "low", "xhigh": "high", "max": "high"}
"""The words that its chat templates know are low, medium and high (0.33, 2026-11)."""


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where upstreams differ in how they want to be asked; part of a row's `engine_options`.

    `reasoning`: `effort` sends `reasoning_effort`, `object` sends `reasoning: {effort, max_tokens}` (OpenRouter,
    DigitalOcean, another Penstock), `vllm` sends its effort, budget and `enable_thinking`, `none` sends nothing.
    `continuous_usage` asks for the usage so far with every chunk, `token_ids` for the ids of a chunk's tokens: by
    either, what is cut off is charged exactly. `cache`: `retention` sends OpenAI's key and retention, `marks`
    Anthropic's marks on parts (OpenRouter, DigitalOcean, another Penstock); either only for a row with the ability
    prompt_cache. `body` is sent along as it is.
    """

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    developer_role: Literal["system", "developer"] = "system"
    earlier_reasoning: Literal["reasoning_content", "reasoning"] | None = None
    continuous_usage: bool = False
    token_ids: bool = False
    reasoning: Literal["effort", "object", "vllm", "none"] = "effort"
    cache: Literal["retention", "marks"] = "retention"
    body: dict[str, Any] = {}


class Shape(msgspec.Struct, frozen=True):
    """How one row's model is asked; one that does not reason is not told to leave it, for it may know no such word."""

    model: str
    asking: Asking = Asking()
    max_output_tokens: int = 4096
    reasons: bool = False
    caches: bool = False

    @property
    def telling(self) -> Telling:
        marks = self.caches and self.asking.cache == "marks"
        return Telling(self.asking.developer_role, self.asking.earlier_reasoning, marks)


def body(shape: Shape, chat: Chat) -> dict[str, Any]:
    """A streaming request with usage; what the caller left open is left open."""
    sampling, asking = chat.sampling, shape.asking
    fields: dict[str, Any] = {
        **asking.body,
        "model": shape.model,
        "messages": messages_of(chat.messages, shape.telling),
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if asking.continuous_usage:
        fields["stream_options"]["continuous_usage_stats"] = True
    if asking.token_ids:
        fields["return_token_ids"] = True
    if sampling.max_output_tokens is not None:
        fields[asking.max_tokens_field] = sampling.max_output_tokens
    _add_sampling(fields, sampling)
    tools = [_tool(tool, shape.telling) for tool in chat.tools if tool.dialect is None]
    if tools:
        fields["tools"] = tools
        _add_choice(fields, chat.tool_choice)
    if chat.response_format is not None:
        fields["response_format"] = _format(chat.response_format)
    if chat.reasoning is not None and shape.reasons:
        _add_reasoning(fields, asking, chat.reasoning, sampling.max_output_tokens or shape.max_output_tokens)
    if shape.caches:
        _add_cache(fields, asking, chat)
    if chat.user is not None:
        fields["user"] = chat.user
    return fields


def encode(fields: dict[str, Any]) -> bytes:
    return _ENCODER.encode(fields)


def _add_sampling(fields: dict[str, Any], sampling: Sampling) -> None:
    for name, wire in _SAMPLING.items():
        if (value := getattr(sampling, name)) is not None:
            fields[wire] = value
    if sampling.logprobs:
        fields["logprobs"] = True
    if sampling.stop:
        fields["stop"] = sampling.stop
    if sampling.choices != 1:
        fields["n"] = sampling.choices


def _tool(tool: Tool, telling: Telling) -> dict[str, Any]:
    known = {"description": tool.description, "parameters": tool.schema, "strict": tool.strict}
    function = {"name": tool.name, **{name: value for name, value in known.items() if value is not None}}
    made: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache is not None and telling.marks:
        made["cache_control"] = {"type": "ephemeral", "ttl": tool.cache.ttl}
    return made


def _add_choice(fields: dict[str, Any], choice: ToolChoice | None) -> None:
    if choice is None:
        return
    named = {"type": "function", "function": {"name": choice.name}}
    fields["tool_choice"] = named if choice.mode == "named" else choice.mode
    if choice.parallel is not None:
        fields["parallel_tool_calls"] = choice.parallel


def _format(asked: ResponseFormat) -> dict[str, Any]:
    if asked.kind == "json_object":
        return {"type": "json_object"}
    known = {"description": asked.description, "schema": asked.schema, "strict": asked.strict}
    form = {"name": asked.name or "answer", **{name: value for name, value in known.items() if value is not None}}
    return {"type": "json_schema", "json_schema": form}


def _add_reasoning(fields: dict[str, Any], asking: Asking, reasoning: Reasoning, limit_tokens: int) -> None:
    effort, budget = reasoning.effort, reasoning.max_tokens
    match asking.reasoning:
        case "effort":
            if effort is None and budget is not None:
                effort = effort_of(budget, limit_tokens)
            if effort is not None:
                fields["reasoning_effort"] = effort
        case "object":
            asked = {"effort": effort, "max_tokens": budget}
            fields["reasoning"] = {name: value for name, value in asked.items() if value is not None}
        case "vllm":
            _add_vllm_reasoning(fields, effort, budget)
        case "none":
            return


def _add_vllm_reasoning(fields: dict[str, Any], effort: Effort | None, budget: int | None) -> None:
    thinks = effort != "none"
    # Qwen's templates know one name, DeepSeek's the other.
    switches = {"enable_thinking": thinks, "thinking": thinks}
    fields["chat_template_kwargs"] = {**fields.get("chat_template_kwargs", {}), **switches}
    if thinks and effort is not None:
        fields["reasoning_effort"] = VLLM_EFFORTS.get(effort, effort)
    if thinks and budget is not None:
        fields["thinking_token_budget"] = budget


def _add_cache(fields: dict[str, Any], asking: Asking, chat: Chat) -> None:
    if asking.cache == "marks":
        if chat.cache is not None:
            fields["cache_control"] = {"type": "ephemeral", "ttl": chat.cache.ttl}
        return
    if chat.cache_retention is not None:
        fields["prompt_cache_retention"] = chat.cache_retention
    if key := (chat.extras or {}).get(OPENAI_CHAT, {}).get("prompt_cache_key"):
        fields["prompt_cache_key"] = key
