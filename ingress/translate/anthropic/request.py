"""A Messages body, read and made canonical."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from ingress.translate.anthropic.blocks import extras, mark, parts, raw
from ingress.translate.validation import read
from schemas.chat import Chat, Effort, Extras, Message, Reasoning, ResponseFormat, Sampling, Tool, ToolChoice
from schemas.dialects import ANTHROPIC, ANTHROPIC_HEADERS
from schemas.wire import anthropic as wire

MODES: Final[Mapping[str, Literal["auto", "none", "required", "named"]]] = {
    "auto": "auto",
    "any": "required",
    "tool": "named",
    "none": "none",
}
EFFORTS: Final[Mapping[str, Effort]] = {effort: effort for effort in get_args(Effort)}
BETA_HEADER: Final = "anthropic-beta"


def parse(body: bytes) -> wire.MessagesRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(wire.MessagesRequest, body)


def parse_count(body: bytes) -> wire.CountTokensRequest:
    """The prompt in a body to be counted; raises as `parse` does."""
    return read(wire.CountTokensRequest, body)


def to_chat(request: wire.CountTokensRequest, betas: str | None = None) -> Chat:
    """The canonical form; `betas` is the value of the request's `anthropic-beta` header.

    Total. `extras` keep for a provider of the same dialect whatever the canonical form has no place for.
    """
    own = extras(request) or {}
    messages = [Message(turn.role, parts(turn.content)) for turn in request.messages]
    if request.system:
        messages.insert(0, Message("system", parts(request.system)))
    chat: dict[str, Any] = {"reasoning": _reasoning(request, own), "response_format": _response_format(request, own)}
    if isinstance(request, wire.MessagesRequest):
        chat |= {"sampling": _sampling(request), "user": _user(request, own)}
    headers = {} if betas is None else {ANTHROPIC_HEADERS: {BETA_HEADER: betas}}
    return Chat(
        messages=tuple(messages),
        tools=tuple([_tool(tool) for tool in request.tools or ()]),
        tool_choice=_tool_choice(request.tool_choice),
        cache=mark(request.cache_control),
        extras={ANTHROPIC: own, **headers},
        **chat,
    )


def _sampling(request: wire.MessagesRequest) -> Sampling:
    return Sampling(
        max_output_tokens=request.max_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=request.top_k,
        stop=tuple(request.stop_sequences or ()),
    )


def _user(request: wire.MessagesRequest, own: Extras) -> str | None:
    if request.metadata is None:
        return None
    if request.metadata.model_extra:
        own["metadata"] = request.metadata.model_extra
    return request.metadata.user_id


def _tool(tool: wire.Tool) -> Tool:
    if not tool.is_function:
        return Tool(tool.name or tool.type or "", extras=raw(tool), dialect=ANTHROPIC)
    return Tool(
        name=tool.name or "",
        description=tool.description,
        schema=tool.input_schema,
        strict=tool.strict,
        cache=mark(tool.cache_control),
        extras=extras(tool),
    )


def _tool_choice(choice: wire.ToolChoice | None) -> ToolChoice | None:
    if choice is None:
        return None
    name = choice.name if choice.type == "tool" else None
    parallel = None if choice.disable_parallel_tool_use is None else not choice.disable_parallel_tool_use
    return ToolChoice(MODES[choice.type], name, parallel)


def _response_format(request: wire.CountTokensRequest, own: Extras) -> ResponseFormat | None:
    asked = request.output_config.format if request.output_config is not None else None
    asked = asked or request.output_format
    if asked is None:
        return None
    if asked.type == "json_schema" and not asked.model_extra:
        return ResponseFormat("json_schema", schema=asked.schema_)
    _keep_in_output_config(own, {"format": raw(asked)})
    return None


def _reasoning(request: wire.CountTokensRequest, own: Extras) -> Reasoning | None:
    """How long to think. What the canonical form cannot hold together, or does not know, goes to `own` as it came."""
    thinking, effort = request.thinking, _effort(request, own)
    kind = None if thinking is None else thinking.type
    if thinking is not None and (thinking.model_extra or kind not in ("enabled", "adaptive", "disabled")):
        own["thinking"] = raw(thinking)
    match kind:
        case "disabled":
            if effort is not None:
                _keep_in_output_config(own, {"effort": effort})
            return Reasoning("none", display=thinking.display if thinking is not None else None)
        case "enabled":
            assert thinking is not None
            return Reasoning(effort, thinking.budget_tokens, display=thinking.display)
        case "adaptive":
            assert thinking is not None
            return Reasoning(effort, adaptive=True, display=thinking.display)
        case _:
            return None if effort is None else Reasoning(effort)


def _effort(request: wire.CountTokensRequest, own: Extras) -> Effort | None:
    config = request.output_config
    if config is not None and config.model_extra:
        _keep_in_output_config(own, config.model_extra)
    if config is None or config.effort is None:
        return request.reasoning_effort if isinstance(request, wire.MessagesRequest) else None
    if config.effort not in EFFORTS:
        _keep_in_output_config(own, {"effort": config.effort})
        return None
    return EFFORTS[config.effort]


def _keep_in_output_config(own: Extras, fields: Mapping[str, Any]) -> None:
    own["output_config"] = {**own.get("output_config", {}), **fields}
