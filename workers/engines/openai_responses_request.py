"""The body of a Responses request, made from a canonical chat."""

from typing import Any, Final, Literal

import msgspec

from schemas.chat import Chat, Reasoning, ResponseFormat, Tool, ToolChoice
from schemas.dialects import OPENAI_CHAT
from workers.engines.effort import effort_of
from workers.engines.openai_responses_items import items_of

LEAST_OUTPUT_TOKENS: Final = 16
"""OpenAI refuses a lower bound (2026-11)."""

SUMMARIES: Final = ("auto", "concise", "detailed")

SEALED: Final = "reasoning.encrypted_content"


class Asking(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where upstreams differ in how they want to be asked; part of a row's `engine_options`.

    `summary` is how much of its reasoning the model is asked to show when the caller does not say. `sealed_reasoning`
    asks for reasoning in sealed form, to hand it back in the next turn, as nothing is stored upstream. `body` is sent
    along as it is.
    """

    summary: Literal["auto", "concise", "detailed"] | None = "auto"
    sealed_reasoning: bool = True
    body: dict[str, Any] = {}


class Shape(msgspec.Struct, frozen=True):
    """How one row's model is asked."""

    model: str
    asking: Asking = Asking()
    max_output_tokens: int = 4096
    reasons: bool = False
    caches: bool = False


def body(shape: Shape, chat: Chat) -> dict[str, Any]:
    """A streaming request; what the caller left open is left open."""
    asking, sampling = shape.asking, chat.sampling
    sealed = shape.reasons and asking.sealed_reasoning
    fields: dict[str, Any] = {
        **asking.body,
        "model": shape.model,
        "input": items_of(chat.messages, signed_reasoning=sealed),
        "stream": True,
        "store": False,
    }
    include = [SEALED] if sealed else []
    if sampling.logprobs:
        include.append("message.output_text.logprobs")
    known: dict[str, Any] = {
        "include": include or None,
        "max_output_tokens": _bound(sampling.max_output_tokens),
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_logprobs": sampling.top_logprobs,
        "text": _text(chat.response_format),
        "reasoning": _reasoning(shape, chat.reasoning, sampling.max_output_tokens) if shape.reasons else None,
        "user": chat.user,
    }
    tools = [_tool(tool) for tool in chat.tools if tool.dialect is None]
    if tools:
        known |= {"tools": tools, **_choice(chat.tool_choice)}
    if shape.caches:
        known["prompt_cache_retention"] = chat.cache_retention
        known["prompt_cache_key"] = (chat.extras or {}).get(OPENAI_CHAT, {}).get("prompt_cache_key")
    return fields | {name: value for name, value in known.items() if value is not None}


def _bound(max_output_tokens: int | None) -> int | None:
    return None if max_output_tokens is None else max(LEAST_OUTPUT_TOKENS, max_output_tokens)


def _tool(tool: Tool) -> dict[str, Any]:
    """Both `parameters` and `strict` have to be there; left out, a tool would be strict."""
    parameters = {"type": "object", "properties": {}} if tool.schema is None else tool.schema
    made = {"type": "function", "name": tool.name, "parameters": parameters, "strict": bool(tool.strict)}
    return made if tool.description is None else {**made, "description": tool.description}


def _choice(choice: ToolChoice | None) -> dict[str, Any]:
    if choice is None:
        return {}
    named = {"type": "function", "name": choice.name}
    return {"tool_choice": named if choice.mode == "named" else choice.mode, "parallel_tool_calls": choice.parallel}


def _text(asked: ResponseFormat | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    if asked.kind == "json_object":
        return {"format": {"type": "json_object"}}
    known = {"description": asked.description, "strict": asked.strict}
    return {
        "format": {
            "type": "json_schema",
            "name": asked.name or "answer",
            "schema": asked.schema or {},
            **{name: value for name, value in known.items() if value is not None},
        }
    }


def _reasoning(shape: Shape, asked: Reasoning | None, limit_tokens: int | None) -> dict[str, Any] | None:
    effort = None if asked is None else asked.effort
    if asked is not None and effort is None and asked.max_tokens is not None:
        effort = effort_of(asked.max_tokens, limit_tokens or shape.max_output_tokens)
    display = None if asked is None else asked.display
    summary = display if display in SUMMARIES else shape.asking.summary
    said = {"effort": effort, "summary": None if effort == "none" else summary}
    return {name: value for name, value in said.items() if value is not None} or None
