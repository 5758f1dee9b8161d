"""What a model's catalogue row accepts: a request outside it is refused here, before anything is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.chat_messages import check_message
from ingress.rules import check_rule
from ingress.tokens import MOST_BYTES_PER_TOKEN
from schemas.catalog import Model
from schemas.engines import Ability
from schemas.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from schemas.wire.openai_chat import ChatCompletionRequest

ALWAYS: Final = frozenset({"model", "messages", "stream", "stream_options", "user", "safety_identifier", "metadata"})
"""What every chat model accepts, because it changes how a reply travels and not what it says."""

HINTS: Final = frozenset({"cache_control", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})
"""What helps a provider that caches prompts and changes nothing where none does, so it is never refused."""

ABILITIES: Final[Mapping[str, Callable[[Any], Ability]]] = {
    "tools": lambda _: "tools",
    "tool_choice": lambda _: "tools",
    "parallel_tool_calls": lambda _: "parallel_tools",
    "response_format": lambda value: value.type,
    "reasoning": lambda _: "reasoning",
    "reasoning_effort": lambda _: "reasoning",
}
"""The ability that a parameter's value asks for."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "function_call": lambda value: value == "none",
    "functions": lambda value: not value,
    "include_reasoning": lambda value: value is False,
    "logit_bias": lambda value: not value,
    "logprobs": lambda value: value is False,
    "modalities": lambda value: value == ["text"],
    "n": lambda value: value == 1,
    "reasoning_effort": lambda value: value == "none",
    "reasoning": lambda value: value.effort in (None, "none") and value.max_tokens is None,
    "response_format": lambda value: value.type == "text",
    "service_tier": lambda value: value in ("auto", "default"),
    "stop": lambda value: not value,
    "store": lambda value: value is False,
    "tool_choice": lambda value: value == "none",
    "tools": lambda value: not value,
    "top_logprobs": lambda value: value == 0,
}
"""Values that ask for what every model does anyway. Frameworks send them unasked, so no contract refuses them."""


def check_chat(model: Model, endpoint: str, request: ChatCompletionRequest) -> None:
    """Return if `model` accepts the request; else raise UnsupportedParameter, InvalidValue or ContextLengthExceeded.

    The first fault is reported, always the same one: endpoint, then parameters by name, messages, length.
    """
    if endpoint not in model.endpoints:
        served = ", ".join(model.endpoints) or "no endpoint"
        raise InvalidValue(f"The model '{model.id}' is not served at {endpoint}, but at {served}.", param="model")
    _check_parameters(model, request)
    _check_reasoning(model, request)
    _check_tool_names(request)
    _check_stream(request)
    input_bytes = sum(check_message(model, place, message) for place, message in enumerate(request.messages))
    _check_length(model, request, input_bytes)


def _check_parameters(model: Model, request: ChatCompletionRequest) -> None:
    rules = model.rules()
    for name in sorted(request.model_fields_set - ALWAYS - HINTS):
        value = getattr(request, name)
        if value is None:
            continue
        rule = rules.get(name)
        if rule is not None:
            check_rule(name, value, rule)
        elif not (name in ASKS_NOTHING and ASKS_NOTHING[name](value)) and not _is_able(model, name, value):
            accepted = ", ".join(sorted(_accepted(model)))
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


def _is_able(model: Model, name: str, value: Any) -> bool:
    return name in ABILITIES and ABILITIES[name](value) in model.abilities


def _accepted(model: Model) -> set[str]:
    granted = {name for name in ABILITIES if name != "response_format" and _is_able(model, name, None)}
    if not model.abilities.isdisjoint(("json_object", "json_schema")):
        granted.add("response_format")
    return granted | ALWAYS | HINTS | model.rules().keys()


def _check_reasoning(model: Model, request: ChatCompletionRequest) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if None not in (reasoning.effort, request.reasoning_effort) and reasoning.effort != request.reasoning_effort:
        raise InvalidValue("'reasoning.effort' and 'reasoning_effort' differ. Send one.", param="reasoning.effort")
    if reasoning.max_tokens is not None and reasoning.max_tokens > model.max_output_tokens:
        raise InvalidValue(
            f"'reasoning.max_tokens' should be at most {model.max_output_tokens} for the model '{model.id}'; "
            f"got {reasoning.max_tokens}.",
            param="reasoning.max_tokens",
        )


def _check_tool_names(request: ChatCompletionRequest) -> None:
    names: set[str] = set()
    for place, tool in enumerate(request.tools or ()):
        name = tool.function.name
        if name in names:
            param = f"tools[{place}].function.name"
            raise InvalidValue(f"'{param}' is '{name}', as an earlier tool's is.", param=param)
        names.add(name)


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
