"""What a model's catalogue row accepts: a request outside it is refused here, before anything is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.rules import check_rule
from ingress.tokens import MOST_BYTES_PER_TOKEN, text_bytes
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from schemas.wire.openai_chat import ChatCompletionRequest, Message, Part, RefusalPart, TextPart

ALWAYS: Final = frozenset({"model", "messages", "stream", "stream_options", "user", "safety_identifier", "metadata"})
"""What every chat model accepts, because it changes how a reply travels and not what it says."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "function_call": lambda value: value == "none",
    "functions": lambda value: not value,
    "include_reasoning": lambda value: value is False,
    "logit_bias": lambda value: not value,
    "logprobs": lambda value: value is False,
    "modalities": lambda value: value == ["text"],
    "n": lambda value: value == 1,
    "reasoning_effort": lambda value: value == "none",
    "response_format": lambda value: value == {"type": "text"},
    "service_tier": lambda value: value in ("auto", "default"),
    "stop": lambda value: not value,
    "store": lambda value: value is False,
    "tool_choice": lambda value: value == "none",
    "tools": lambda value: not value,
    "top_logprobs": lambda value: value == 0,
}
"""Values that ask for what every model does anyway. Frameworks send them unasked, so no contract refuses them."""

PART_MODALITIES: Final[Mapping[str, str]] = {
    "text": "text",
    "refusal": "text",
    "image_url": "image",
    "input_audio": "audio",
    "video_url": "video",
    "file": "file",
}

ROLES: Final = ("system", "developer", "user", "assistant")

MESSAGE_FIELDS: Final = ("tool_calls", "tool_call_id", "function_call", "audio", "cache_control")
"""What a message can carry only for a model with the ability it belongs to."""


def check_chat(model: Model, endpoint: str, request: ChatCompletionRequest) -> None:
    """Return if `model` accepts the request; else raise UnsupportedParameter, InvalidValue or ContextLengthExceeded.

    The first fault is reported, always the same one: endpoint, then parameters by name, messages, length.
    """
    if endpoint not in model.endpoints:
        served = ", ".join(model.endpoints) or "no endpoint"
        raise InvalidValue(f"The model '{model.id}' is not served at {endpoint}, but at {served}.", param="model")
    _check_parameters(model, request)
    _check_stream(request)
    input_bytes = sum(_check_message(model, place, message) for place, message in enumerate(request.messages))
    _check_length(model, request, input_bytes)


def _check_parameters(model: Model, request: ChatCompletionRequest) -> None:
    rules = model.rules()
    for name in sorted(request.model_fields_set - ALWAYS):
        value = getattr(request, name)
        if value is None:
            continue
        rule = rules.get(name)
        if rule is not None:
            check_rule(name, value, rule)
        elif not (name in ASKS_NOTHING and ASKS_NOTHING[name](value)):
            accepted = ", ".join(sorted(ALWAYS | rules.keys()))
            raise UnsupportedParameter(
                f"The model '{model.id}' does not accept '{name}'. It accepts: {accepted}.", param=name
            )
    for name in ("max_completion_tokens", "max_tokens"):
        asked = getattr(request, name)
        if asked is not None and asked > model.max_output_tokens:
            raise InvalidValue(
                f"'{name}' should be at most {model.max_output_tokens} for the model '{model.id}'; got {asked}.",
                param=name,
            )
    if request.top_logprobs and not request.logprobs:
        raise InvalidValue("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")


def _check_stream(request: ChatCompletionRequest) -> None:
    options = request.stream_options
    if options is None:
        return
    if not request.stream:
        raise InvalidValue("'stream_options' needs 'stream' to be true.", param="stream_options")
    for name in ("include_obfuscation", "continuous_usage_stats"):
        if getattr(options, name):
            param = f"stream_options.{name}"
            raise UnsupportedParameter(f"'{param}' is not available. Leave it out or send false.", param=param)


def _check_message(model: Model, place: int, message: Message) -> int:
    """The UTF-8 bytes of the message's text, if the model takes the message."""
    at = f"messages[{place}]"
    if message.role not in ROLES:
        accepted = ", ".join(ROLES)
        raise InvalidValue(
            f"The model '{model.id}' has no tools, so '{at}.role' should be one of: {accepted}.", param=f"{at}.role"
        )
    for field in MESSAGE_FIELDS:
        if getattr(message, field):
            raise UnsupportedParameter(
                f"The model '{model.id}' does not accept '{at}.{field}'. Leave it out.", param=f"{at}.{field}"
            )
    if message.refusal is not None and message.role != "assistant":
        raise UnsupportedParameter(f"Only an assistant's message has '{at}.refusal'.", param=f"{at}.refusal")
    if message.content is None and message.refusal is None:
        raise InvalidValue(f"'{at}.content' should be a string or an array of parts.", param=f"{at}.content")
    parts_bytes = sum(_check_part(model, f"{at}.{where}", part) for where, part in message.parts())
    return parts_bytes + text_bytes(message.refusal or "")


def _check_part(model: Model, at: str, part: Part) -> int:
    modality = PART_MODALITIES[part.type]
    if modality not in model.inputs:
        accepted = ", ".join(model.inputs)
        raise InvalidValue(
            f"The model '{model.id}' reads {accepted}; '{at}' is of type '{part.type}'.", param=f"{at}.type"
        )
    for field in ("cache_control", "prompt_cache_breakpoint"):
        if getattr(part, field):
            raise UnsupportedParameter(
                f"The model '{model.id}' does not accept '{at}.{field}'. Leave it out.", param=f"{at}.{field}"
            )
    match part:
        case TextPart(text=text):
            return text_bytes(text)
        case RefusalPart(refusal=refusal):
            return text_bytes(refusal)
        case _:
            return 0


def _check_length(model: Model, request: ChatCompletionRequest, input_bytes: int) -> None:
    """Refuse what surely does not fit; the engine, which counts, refuses the rest with the same code."""
    asked = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    output_tokens = 1 if asked is None else asked
    least_input_tokens = input_bytes // MOST_BYTES_PER_TOKEN + len(request.messages)
    if least_input_tokens + output_tokens > model.context_tokens:
        raise ContextLengthExceeded(
            f"The model '{model.id}' has a context of {model.context_tokens} tokens; the messages are at least "
            f"{least_input_tokens} and the output asked for is {output_tokens}. Shorten one of them.",
            param="messages",
        )
