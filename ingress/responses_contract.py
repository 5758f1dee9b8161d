"""What the Responses door and a model's catalogue row accept: everything else is refused before it is published."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ingress.abilities import Ask, check_abilities
from ingress.bounds import check_context, check_endpoint, check_output_tokens, check_stream_options
from ingress.rules import check_parameters
from ingress.tokens import text_bytes
from ingress.translate.openai_responses import LOGPROBS, Placed, places_of
from ingress.turns import check_turns
from schemas.catalog import Model
from schemas.chat import Chat, part_texts
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.wire.openai_responses import (
    INCLUDABLE,
    AllowedTools,
    InputFile,
    InputImage,
    Item,
    Message,
    Part,
    ResponsesRequest,
)

ENDPOINT: Final = "/v1/responses"

SAMPLING: Final[Mapping[str, str]] = {
    "frequency_penalty": "frequency_penalty",
    "max_output_tokens": "max_tokens",
    "min_p": "min_p",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repetition_penalty",
    "seed": "seed",
    "stop": "stop",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_logprobs": "top_logprobs",
    "top_p": "top_p",
}
"""Which rule of a row each parameter is held to."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "frequency_penalty": lambda value: value == 0,
    "presence_penalty": lambda value: value == 0,
    "repetition_penalty": lambda value: value == 1,
    "service_tier": lambda value: value in ("auto", "default"),
    "stop": lambda value: not value,
    "top_logprobs": lambda value: value == 0,
    "truncation": lambda value: value == "disabled",
}
"""Values that ask for what happens anyway. Frameworks send them unasked, so nothing refuses them."""

NOT_HERE: Final = (
    "access_programs",
    "background_options",
    "context_management",
    "conversation",
    "image",
    "moderation",
    "prompt",
    "service_tier",
    "truncation",
)

TOOL_ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "allowed_callers": lambda value: value == ["direct"],
    "defer_loading": lambda value: value is False,
}
"""What a tool may say of who calls it, and when: the model, at any time."""

NAMES: Final[Mapping[Ask, str]] = {
    "tools": "tools",
    "parallel_tools": "parallel_tool_calls",
    "reasoning": "reasoning",
    "json_object": "text.format",
    "json_schema": "text.format",
    "image": "input",
    "document": "input",
}


def check_request(model: Model, request: ResponsesRequest) -> None:
    """Return if `model` takes what is asked; else raise UnsupportedParameter or InvalidValue, always for the same."""
    check_endpoint(model, ENDPOINT)
    for name in NOT_HERE:
        value = getattr(request, name)
        if value is not None and not (name in ASKS_NOTHING and ASKS_NOTHING[name](value)):
            raise UnsupportedParameter(f"'{name}' is not available here. Leave it out.", param=name)
    _check_sampling(model, request)
    _check_options(request)
    _check_tools(request)
    if not request.input and request.previous_response_id is None:
        raise InvalidValue("'input' should hold at least 1 item.", param="input")
    for place, item in request.items():
        _check_item(place, item)


def check_conversation(model: Model, request: ResponsesRequest, placed: Sequence[Placed], chat: Chat) -> None:
    """Return if `model` can go on with what was said; else raise what is wrong with it.

    Tools may come and go from one response to the next, so what earlier ones called need not be offered again.
    """
    check_abilities(model, chat, NAMES)
    check_turns(
        chat,
        places_of(request, placed),
        only_offered=bool(request.tools) and request.previous_response_id is None,
    )
    input_bytes = sum(
        text_bytes(text) for message in chat.messages for part in message.parts for text in part_texts(part)
    )
    check_context(model, "input", input_bytes, len(chat.messages), chat.sampling.max_output_tokens)


def _check_sampling(model: Model, request: ResponsesRequest) -> None:
    check_parameters(model, request, SAMPLING, ASKS_NOTHING)
    check_output_tokens(model, "max_output_tokens", request.max_output_tokens)
    if LOGPROBS in (request.include or ()) and "logprobs" not in model.rules():
        raise UnsupportedParameter(f"The model '{model.id}' has no logprobs to include.", param="include")


def _check_options(request: ResponsesRequest) -> None:
    for name in request.include or ():
        if name not in INCLUDABLE:
            raise InvalidValue(f"'include' should name any of: {', '.join(INCLUDABLE)}.", param="include")
    if request.background and request.store is False:
        raise InvalidValue("'background' needs 'store': what is not kept cannot be asked for.", param="background")
    if request.text is not None and request.text.verbosity in ("low", "high"):
        raise UnsupportedParameter(
            "'text.verbosity' is not available here. Leave it out or send 'medium'.", param="text.verbosity"
        )
    check_stream_options(request.stream, request.stream_options)


def _check_tools(request: ResponsesRequest) -> None:
    names: set[str] = set()
    for place, tool in enumerate(request.tools or ()):
        at = f"tools[{place}]"
        if tool.name in names:
            raise InvalidValue(f"'{at}.name' is '{tool.name}', as an earlier tool's is.", param=f"{at}.name")
        names.add(tool.name)
        for name, asks_nothing in TOOL_ASKS_NOTHING.items():
            value = getattr(tool, name)
            if value is not None and not asks_nothing(value):
                raise UnsupportedParameter(f"'{at}.{name}' is not available here. Leave it out.", param=f"{at}.{name}")
    if isinstance(request.tool_choice, AllowedTools):
        for place, allowed in enumerate(request.tool_choice.tools):
            if allowed.name not in names:
                param = f"tool_choice.tools[{place}].name"
                raise InvalidValue(f"'{param}' is '{allowed.name}', which is none of the tools.", param=param)


def _check_item(place: str, item: Item) -> None:
    if isinstance(item, Message) and not isinstance(item.content, str):
        for index, part in enumerate(item.content):
            _check_part(f"{place}.content[{index}]", item.role, part)


def _check_part(at: str, role: str, part: Part) -> None:
    if not isinstance(part, InputImage | InputFile):
        return
    if role != "user":
        raise InvalidValue(f"'{at}.type' is '{part.type}', which only a user's message can hold.", param=f"{at}.type")
    if part.file_id is not None:
        raise UnsupportedParameter(
            f"'{at}.file_id' is not available here. Send the data or a URL.", param=f"{at}.file_id"
        )
    source = part.image_url if isinstance(part, InputImage) else part.file_data or part.file_url
    if not source:
        name = "image_url" if isinstance(part, InputImage) else "file_data"
        raise InvalidValue(f"'{at}.{name}' is required.", param=f"{at}.{name}")
