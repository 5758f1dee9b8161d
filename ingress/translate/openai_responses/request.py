"""A response's request, read and made canonical."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, assert_never

from pydantic import TypeAdapter

from ingress.tokens import output_bound
from ingress.translate.openai_responses.conversation import Placed, turns
from ingress.translate.sampling import sampling_of
from ingress.translate.validation import read
from schemas.catalog import Model
from schemas.chat import (
    Chat,
    Message,
    Reasoning,
    ResponseFormat,
    Sampling,
    Text,
    Tool,
    ToolChoice,
)
from schemas.dialects import OPENAI_CHAT
from schemas.errors import NotFound
from schemas.wire import openai_responses as wire
from schemas.wire.openai_tools import JsonObjectFormat, TextFormat

KEPT_ITEMS: Final[TypeAdapter[list[wire.Item]]] = TypeAdapter(list[wire.Item])

LOGPROBS: Final = "message.output_text.logprobs"
BEFORE: Final = "previous_response_id"
"""Where a request has what was said before it."""


def parse(body: bytes) -> wire.ResponsesRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(wire.ResponsesRequest, body)


def references(request: wire.ResponsesRequest) -> set[str]:
    """The ids of items that stand in stored responses and in this request by name only."""
    return {item.id for _, item in request.items() if isinstance(item, wire.ItemReference)}


def said(
    request: wire.ResponsesRequest, history: Sequence[Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> list[Placed]:
    """All that was said before and in this request: kept items, then its own, with `known` ones for references.

    Raises NotFound for a reference to an item that is not known.
    """
    items: list[Placed] = [(BEFORE, item) for item in KEPT_ITEMS.validate_python(history)]
    for place, item in request.items():
        if not isinstance(item, wire.ItemReference):
            items.append((place, item))
        elif (found := known.get(item.id)) is not None:
            items += [(place, kept) for kept in KEPT_ITEMS.validate_python([found])]
        else:
            raise NotFound(f"No stored response of this account has the item '{item.id}'.", param=place)
    return items


def own(placed: Sequence[Placed]) -> list[wire.Item]:
    """The items that this request brought."""
    return [item for place, item in placed if place != BEFORE]


def to_chat(request: wire.ResponsesRequest, placed: Sequence[Placed], model: Model) -> Chat:
    """The canonical form of a request that `model`'s contract accepts, after all that was `said`.

    Earlier instructions are not carried over. `metadata` is kept nowhere.
    """
    messages = (*_instructions(request), *(turn.message for turn in turns(placed)))
    return Chat(
        messages=messages,
        sampling=_sampling(request, messages, model),
        user=request.user or request.safety_identifier,
        tools=_tools(request),
        tool_choice=_tool_choice(request),
        response_format=_response_format(request.text),
        reasoning=_reasoning(request.reasoning),
        cache_retention=request.prompt_cache_retention,
        extras={OPENAI_CHAT: {"prompt_cache_key": request.prompt_cache_key}} if request.prompt_cache_key else None,
    )


def places_of(request: wire.ResponsesRequest, placed: Sequence[Placed]) -> Callable[[Chat, int, int], str]:
    """Where the request has a part of its chat: of a message by its number there, by its own in the message."""
    before = len(_instructions(request))
    by_turn: list[tuple[str, ...]] = []

    def place(_: Chat, message: int, part: int) -> str:
        if not by_turn:
            by_turn.extend(turn.places for turn in turns(placed))
        found = by_turn[message - before][part]
        return BEFORE if found.startswith(BEFORE) else found

    return place


def _instructions(request: wire.ResponsesRequest) -> tuple[Message, ...]:
    return (Message("system", (Text(request.instructions),)),) if request.instructions else ()


def _sampling(request: wire.ResponsesRequest, messages: tuple[Message, ...], model: Model) -> Sampling:
    asked = request.max_output_tokens
    logprobs = bool(request.top_logprobs) or LOGPROBS in (request.include or ())
    return sampling_of(
        request,
        output_bound(messages, model) if asked is None else asked,
        logprobs=logprobs,
        top_logprobs=request.top_logprobs if logprobs else None,
    )


def _tools(request: wire.ResponsesRequest) -> tuple[Tool, ...]:
    """Those that may be called: not more than `allowed_tools` names, where it names any."""
    choice = request.tool_choice
    allowed = {tool.name for tool in choice.tools} if isinstance(choice, wire.AllowedTools) else None
    return tuple(
        Tool(tool.name, tool.description, tool.parameters, tool.strict)
        for tool in request.tools or ()
        if allowed is None or tool.name in allowed
    )


def _tool_choice(request: wire.ResponsesRequest) -> ToolChoice | None:
    parallel = False if request.parallel_tool_calls is False and request.tools else None
    match request.tool_choice:
        case None:
            return None if parallel is None else ToolChoice(parallel=parallel)
        case wire.NamedFunction(name=name):
            return ToolChoice("named", name, parallel)
        case wire.AllowedTools(mode=mode):
            return ToolChoice(mode, None, parallel)
        case mode:
            return ToolChoice(mode, None, parallel) if request.tools or mode == "required" else None


def _response_format(text: wire.TextOptions | None) -> ResponseFormat | None:
    match None if text is None else text.format:
        case None | TextFormat():
            return None
        case JsonObjectFormat():
            return ResponseFormat("json_object")
        case wire.JsonSchemaFormat() as form:
            return ResponseFormat("json_schema", form.name, form.schema_, form.strict, form.description)
        case other:
            assert_never(other)


def _reasoning(asked: wire.ReasoningOptions | None) -> Reasoning | None:
    """A summary that is asked for is what a provider calls summarized thinking."""
    if asked is None or (asked.effort is None and asked.max_tokens is None and asked.summary is None):
        return None
    display = "summarized" if asked.summary or asked.generate_summary else None
    return Reasoning(asked.effort, asked.max_tokens, display=display)
