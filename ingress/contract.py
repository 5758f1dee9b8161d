"""What a model's catalogue row accepts: a request outside it is refused here, before anything is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.bounds import check_context, check_endpoint, check_output_tokens, check_stream_options
from ingress.chat_messages import check_message
from ingress.rules import check_rule
from schemas.catalog import Model
from schemas.engines import Ability
from schemas.errors import InvalidValue, UnsupportedParameter
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

FORMATS: Final[tuple[Ability, ...]] = ("json_object", "json_schema")
"""The abilities that `response_format` asks for, by its type."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "function_call": lambda value: value == "none",
    "functions": lambda value: not value,
    "include_reasoning": lambda value: value is False,
    "logit_bias": lambda value: not value,
    "logprobs": lambda value: value is False,
    "modalities": lambda value: value == ["text"],
    "n": lambda value: value == 1,
    "parallel_tool_calls": lambda value: value is True,
    "reasoning_effort": lambda value: value == "none",
    "reasoning": lambda value: value.effort in (None, "none") and value.max_tokens is None,
    "response_format": lambda value: value.type == "text",
    "service_tier": lambda value: value in ("auto", "default"),
    "stop": lambda value: not value,
    "store": lambda value: value is False,
    "tool_choice": lambda value: value in ("none", "auto"),
    "tools": lambda value: not value,
    "top_logprobs": lambda value: value == 0,
    "verbosity": lambda value: value == "medium",
}
"""Values that ask for what every model does anyway. Frameworks send them unasked, so no contract refuses them."""


def check_chat(model: Model, endpoint: str, request: ChatCompletionRequest) -> None:
    """Return if `model` accepts the request; else raise UnsupportedParameter, InvalidValue or ContextLengthExceeded.

    The first fault is reported, always the same one: endpoint, then parameters by name, messages, length.
    """
    check_endpoint(model, endpoint)
    _check_parameters(model, request)
    _check_reasoning(model, request)
    _check_tool_names(request)
    check_stream_options(request.stream, request.stream_options)
    input_bytes = sum(check_message(model, place, message) for place, message in enumerate(request.messages))
    asked = request.max_tokens if request.max_completion_tokens is None else request.max_completion_tokens
    check_context(model, "messages", input_bytes, len(request.messages), asked)


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
            raise _refusal(model, name)
    for name in ("max_completion_tokens", "max_tokens"):
        check_output_tokens(model, name, getattr(request, name))
    if request.top_logprobs and not request.logprobs:
        raise InvalidValue("'top_logprobs' needs 'logprobs' to be true.", param="top_logprobs")


def _refusal(model: Model, name: str) -> UnsupportedParameter:
    accepted = _accepted(model)
    if name in accepted:
        able = ", ".join(sorted(model.abilities.intersection(FORMATS)))
        return UnsupportedParameter(f"The model '{model.id}' accepts '{name}' of the type {able} only.", param=name)
    listed = ", ".join(sorted(accepted))
    return UnsupportedParameter(f"The model '{model.id}' does not accept '{name}'. It accepts: {listed}.", param=name)


def _is_able(model: Model, name: str, value: Any) -> bool:
    return name in ABILITIES and ABILITIES[name](value) in model.abilities


def _accepted(model: Model) -> set[str]:
    granted = {name for name in ABILITIES if name != "response_format" and _is_able(model, name, None)}
    if not model.abilities.isdisjoint(FORMATS):
        granted.add("response_format")
    return granted | ALWAYS | HINTS | model.rules().keys()


def _check_reasoning(model: Model, request: ChatCompletionRequest) -> None:
    reasoning = request.reasoning
    if reasoning is None:
        return
    if None not in (reasoning.effort, request.reasoning_effort) and reasoning.effort != request.reasoning_effort:
        raise InvalidValue("'reasoning.effort' and 'reasoning_effort' differ. Send one.", param="reasoning.effort")
    check_output_tokens(model, "reasoning.max_tokens", reasoning.max_tokens)


def _check_tool_names(request: ChatCompletionRequest) -> None:
    names: set[str] = set()
    for place, tool in enumerate(request.tools or ()):
        name = tool.function.name
        if name in names:
            param = f"tools[{place}].function.name"
            raise InvalidValue(f"'{param}' is '{name}', as an earlier tool's is.", param=param)
        names.add(name)
