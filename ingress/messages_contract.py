"""What the Messages door and a model's catalogue row accept: everything else is refused before it is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from ingress.abilities import Ask, check_abilities
from ingress.bounds import check_endpoint, least_input_tokens
from ingress.native import check_native
from ingress.rules import check_parameters
from ingress.tokens import input_bytes
from ingress.turns import Place, check_turns
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.errors import ContextLengthExceeded, InvalidValue
from schemas.wire.anthropic import CountTokensRequest, MessagesRequest

ENDPOINT: Final = "/v1/messages"

SAMPLING: Final[Mapping[str, str]] = {
    "stop_sequences": "stop",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
}
"""Which rule of a row each parameter is held to."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "stop_sequences": lambda value: not value,
    "temperature": lambda value: value == 1,
    "top_p": lambda value: value == 1,
}
"""Anthropic's own defaults. Clients send them unasked, so no contract refuses them."""

LEAST_BUDGET_TOKENS: Final = 1024
"""Anthropic's, whoever made the model: what is less is no budget in this dialect."""

NAMES: Final[Mapping[Ask, str]] = {
    "tools": "tools",
    "parallel_tools": "tool_choice.disable_parallel_tool_use",
    "reasoning": "thinking",
    "json_object": "output_config.format",
    "json_schema": "output_config.format",
    "image": "messages",
    "document": "messages",
}


def within_abilities(model: Model, chat: Chat) -> Chat:
    """The chat without the hints that `model` can do nothing with.

    Anthropic's clients send an effort and adaptive thinking whatever the model is: both leave it to the model how
    long to think, and one that does not think has decided. A budget asks for thinking, and stays.
    """
    reasoning = chat.reasoning
    if reasoning is None or "reasoning" in model.abilities or reasoning.max_tokens is not None:
        return chat
    return msgspec.structs.replace(chat, reasoning=None)


def check_messages(model: Model, request: CountTokensRequest, chat: Chat) -> None:
    """Return if `model` accepts the request; else raise UnsupportedParameter, InvalidValue or ContextLengthExceeded.

    The first fault is reported, always the same one. Tools may come and go in mid-conversation here, so what was
    called before need not be offered.
    """
    check_endpoint(model, ENDPOINT)
    if isinstance(request, MessagesRequest):
        check_parameters(model, request, SAMPLING, ASKS_NOTHING)
        _check_max_tokens(model, request.max_tokens)
    _check_budget(chat)
    _check_tool_names(request)
    check_abilities(model, chat, NAMES)
    place = places_of(request)
    check_native(model, chat, place)
    check_turns(chat, place, only_offered=False)
    _check_length(model, chat)


def _check_max_tokens(model: Model, asked: int) -> None:
    if asked < 1:
        raise InvalidValue(f"'max_tokens' should be at least 1; got {asked}.", param="max_tokens")
    if asked > model.max_output_tokens:
        # Anthropic's words, which its clients know.
        raise InvalidValue(
            f"max_tokens: {asked} > {model.max_output_tokens}, which is the maximum allowed number of output tokens "
            f"for {model.id}",
            param="max_tokens",
        )


def _check_budget(chat: Chat) -> None:
    budget = None if chat.reasoning is None else chat.reasoning.max_tokens
    if budget is not None and budget < LEAST_BUDGET_TOKENS:
        # Anthropic's words again.
        param = "thinking.budget_tokens"
        raise InvalidValue(
            f"thinking.enabled.budget_tokens: Input should be greater than or equal to {LEAST_BUDGET_TOKENS}",
            param=param,
        )


def _check_tool_names(request: CountTokensRequest) -> None:
    names: set[str] = set()
    for tool in request.tools or ():
        if tool.name is not None and tool.name in names:
            raise InvalidValue(f"tools: Tool names must be unique. '{tool.name}' is there twice.", param="tools")
        names.add(tool.name or "")


def _check_length(model: Model, chat: Chat) -> None:
    """Refuse what surely does not fit, in Anthropic's words: reading them, its clients shorten the conversation."""
    least_tokens = least_input_tokens(input_bytes(chat), len(chat.messages))
    output_tokens = chat.sampling.max_output_tokens or 1
    if least_tokens >= model.context_tokens:
        raise ContextLengthExceeded(
            f"prompt is too long: {least_tokens} tokens > {model.context_tokens} maximum", param="messages"
        )
    if least_tokens + output_tokens > model.context_tokens:
        raise ContextLengthExceeded(
            f"input length and `max_tokens` exceed context limit: {least_tokens} + {output_tokens} > "
            f"{model.context_tokens}, decrease input length or `max_tokens` and try again",
            param="messages",
        )


def places_of(request: CountTokensRequest) -> Place:
    """Where the body has a part; the canonical form has what the system says before the messages."""

    def place(_: Chat, message: int, part: int) -> str:
        if request.system:
            if message == 0:
                return "system" if isinstance(request.system, str) else f"system[{part}]"
            message -= 1
        at = f"messages[{message}].content"
        return at if isinstance(request.messages[message].content, str) else f"{at}[{part}]"

    return place
