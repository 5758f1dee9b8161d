"""The body of a Messages request, made from a canonical chat."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from schemas.chat import Chat, Extras, RedactedThinking, Thinking, Tool, ToolCall, ToolChoice
from schemas.dialects import ANTHROPIC
from workers.engines.anthropic_blocks import Blocks, cache_control
from workers.engines.anthropic_turns import system_and_turns
from workers.engines.effort import budget_tokens, within

CHOICES: Final[Mapping[str, str]] = {"auto": "auto", "required": "any", "named": "tool", "none": "none"}
EFFORTS: Final[Mapping[str, str]] = {"minimal": "low"}
"""Canonical efforts that Anthropic has another word for."""

MOST_TEMPERATURE: Final = 1.0
LEAST_TOP_P_THINKING: Final = 0.95
USER_CHARS: Final = 256
"""Of `metadata.user_id`; a longer one is not worth a refusal."""

NO_ARGUMENTS: Final[Mapping[str, Any]] = {"type": "object", "properties": {}}


class Shape(msgspec.Struct, frozen=True):
    """How a row's model wants to be asked: `thinking` says by what it is told how long to think."""

    model: str
    max_output_tokens: int
    thinking: Literal["budget", "adaptive"] = "budget"
    cache: bool = True


def body(shape: Shape, chat: Chat) -> dict[str, Any]:
    """A streaming request. A chat that came in this dialect goes out in its own words, unknown fields included."""
    sampling = chat.sampling
    max_tokens = sampling.max_output_tokens or shape.max_output_tokens
    fields = prompt(shape, chat, max_tokens)
    fields |= {"max_tokens": max_tokens, "stream": True}
    if sampling.stop:
        fields["stop_sequences"] = sampling.stop
    if chat.user is not None and len(chat.user) <= USER_CHARS:
        fields["metadata"] = {**fields.get("metadata", {}), "user_id": chat.user}
    return fields | _randomness(chat, thinks=_own(chat) is None and _thinks(fields))


def prompt(shape: Shape, chat: Chat, max_tokens: int) -> dict[str, Any]:
    """What is to be read, which is also what is counted."""
    own = _own(chat)
    native = own is not None
    blocks = Blocks(cache=shape.cache, native=native)
    system, turns = system_and_turns(chat.messages, blocks)
    fields: dict[str, Any] = {"model": shape.model, "messages": turns}
    if system:
        fields["system"] = system
    fields |= _tools(chat, blocks)
    fields |= _own_reasoning(chat) if native else _reasoning(shape, chat, max_tokens)
    if chat.response_format is not None and chat.response_format.kind == "json_schema":
        form = {"type": "json_schema", "schema": chat.response_format.schema or {}}
        fields["output_config"] = {**fields.get("output_config", {}), "format": form}
    if chat.cache is not None and shape.cache:
        fields["cache_control"] = cache_control(chat.cache)
    for name, value in (own or {}).items():
        known = fields.get(name)
        fields[name] = {**known, **value} if isinstance(known, dict) and isinstance(value, dict) else value
    return fields


def _own(chat: Chat) -> Extras | None:
    """What only this dialect knows, of a chat that came in it; None of a chat that did not."""
    return None if chat.extras is None else chat.extras.get(ANTHROPIC)


def _own_reasoning(chat: Chat) -> dict[str, Any]:
    """Thinking and effort as the caller said them; an effort alone asks for no thinking here."""
    reasoning = chat.reasoning
    if reasoning is None:
        return {}
    thinking: dict[str, Any] = {}
    if reasoning.adaptive:
        thinking = {"type": "adaptive"}
    elif reasoning.max_tokens is not None:
        thinking = {"type": "enabled", "budget_tokens": reasoning.max_tokens}
    elif reasoning.effort == "none":
        thinking = {"type": "disabled"}
    if thinking and reasoning.display is not None:
        thinking["display"] = reasoning.display
    fields: dict[str, Any] = {"thinking": thinking} if thinking else {}
    if reasoning.effort not in (None, "none"):
        fields["output_config"] = {"effort": EFFORTS.get(reasoning.effort, reasoning.effort)}
    return fields


def _reasoning(shape: Shape, chat: Chat, max_tokens: int) -> dict[str, Any]:
    """Thinking, where another dialect's caller asks for reasoning and the conversation allows it."""
    reasoning = chat.reasoning
    if reasoning is None:
        return {}
    if reasoning.effort == "none":
        return {"thinking": {"type": "disabled"}}
    choice = chat.tool_choice
    if (choice is not None and choice.mode in ("required", "named")) or _answers_unsigned_call(chat):
        return {}
    if shape.thinking == "adaptive" or reasoning.adaptive:
        effort = EFFORTS.get(reasoning.effort or "", reasoning.effort)
        return {"thinking": {"type": "adaptive"}} | ({"output_config": {"effort": effort}} if effort else {})
    if reasoning.max_tokens is not None:
        budget = within(reasoning.max_tokens, max_tokens)
    else:
        budget = budget_tokens(reasoning.effort, max_tokens) if reasoning.effort is not None else None
    return {} if budget is None else {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _answers_unsigned_call(chat: Chat) -> bool:
    """Whether a tool's result comes back without the signed thinking before its call, which other dialects lose.

    Anthropic refuses to go on thinking then (its page on extended thinking with tool use, 2026-11).
    """
    for message in reversed(chat.messages):
        if message.role == "assistant":
            signed = any(
                isinstance(p, RedactedThinking) or (isinstance(p, Thinking) and p.signature) for p in message.parts
            )
            return any(isinstance(part, ToolCall) for part in message.parts) and not signed
    return False


def _tools(chat: Chat, blocks: Blocks) -> dict[str, Any]:
    if not chat.tools:
        return {} if blocks.native else _tools_spoken_of(chat)
    tools = [tool for each in chat.tools if (tool := _tool(each, blocks)) is not None]
    choice = chat.tool_choice
    return {"tools": tools} | ({} if choice is None else {"tool_choice": _tool_choice(choice)})


def _tool(tool: Tool, blocks: Blocks) -> dict[str, Any] | None:
    if tool.dialect is not None:
        return tool.extras if tool.dialect == ANTHROPIC else None
    fields: dict[str, Any] = {"name": tool.name, "input_schema": NO_ARGUMENTS if tool.schema is None else tool.schema}
    if tool.description is not None:
        fields["description"] = tool.description
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return blocks.marked(fields, tool.cache, tool.extras)


def _tool_choice(choice: ToolChoice) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": CHOICES[choice.mode]}
    if choice.mode == "named":
        fields["name"] = choice.name
    if choice.parallel is not None and choice.mode != "none":
        fields["disable_parallel_tool_use"] = not choice.parallel
    return fields


def _tools_spoken_of(chat: Chat) -> dict[str, Any]:
    """Anthropic wants the tools of calls that were made, even if none may be made any more."""
    names = dict.fromkeys(p.name for message in chat.messages for p in message.parts if isinstance(p, ToolCall))
    if not names:
        return {}
    return {"tools": [{"name": n, "input_schema": NO_ARGUMENTS} for n in names], "tool_choice": {"type": "none"}}


def _thinks(fields: Mapping[str, Any]) -> bool:
    thinking = fields.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") != "disabled"


def _randomness(chat: Chat, *, thinks: bool) -> dict[str, Any]:
    """What to draw with; a model that `thinks` takes no temperature and no top_k, and only a high top_p."""
    sampling, fields = chat.sampling, dict[str, Any]()
    temperature, top_p = sampling.temperature, sampling.top_p
    if temperature is not None and not thinks:
        fields["temperature"] = min(temperature, MOST_TEMPERATURE)
    if top_p is not None and not (thinks and top_p < LEAST_TOP_P_THINKING):
        fields["top_p"] = top_p
    if sampling.top_k is not None and not thinks:
        fields["top_k"] = sampling.top_k
    return fields
