"""What the completions door and a model's catalogue row accept: everything else is refused before it is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.rules import check_parameters
from ingress.tokens import MOST_BYTES_PER_TOKEN, text_bytes
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from schemas.wire.openai_completions import CompletionRequest

ENDPOINT: Final = "/v1/completions"

SAMPLING: Final[Mapping[str, str]] = {
    "frequency_penalty": "frequency_penalty",
    "logit_bias": "logit_bias",
    "logprobs": "top_logprobs",
    "max_tokens": "max_tokens",
    "min_p": "min_p",
    "n": "n",
    "presence_penalty": "presence_penalty",
    "repetition_penalty": "repetition_penalty",
    "seed": "seed",
    "stop": "stop",
    "temperature": "temperature",
    "top_k": "top_k",
    "top_p": "top_p",
}
"""Which rule of a row each parameter is held to."""

ASKS_NOTHING: Final[Mapping[str, Callable[[Any], bool]]] = {
    "best_of": lambda value: value == 1,
    "echo": lambda value: value is False,
    "frequency_penalty": lambda value: value == 0,
    "logit_bias": lambda value: not value,
    "n": lambda value: value == 1,
    "presence_penalty": lambda value: value == 0,
    "stop": lambda value: not value,
    "suffix": lambda value: value == "",
}
"""Values that ask for what happens anyway."""

NOT_HERE: Final = ("best_of", "echo", "suffix")
"""What goes on from a bare text, which a model that is asked by chat does not see."""


def check_completion(model: Model, request: CompletionRequest) -> None:
    """Return if `model` takes what is asked; else raise UnsupportedParameter, InvalidValue or ContextLengthExceeded."""
    if ENDPOINT not in model.endpoints:
        served = ", ".join(model.endpoints) or "no endpoint"
        raise InvalidValue(f"The model '{model.id}' is not served at {ENDPOINT}, but at {served}.", param="model")
    for name in NOT_HERE:
        value = getattr(request, name)
        if value is not None and not ASKS_NOTHING[name](value):
            raise UnsupportedParameter(f"'{name}' is not available here. Leave it out.", param=name)
    if not isinstance(request.prompt, str) and len(request.prompt) > 1:
        raise UnsupportedParameter("'prompt' may hold one text. Send a request for each.", param="prompt")
    check_parameters(model, request, SAMPLING, ASKS_NOTHING)
    if request.max_tokens is not None and request.max_tokens > model.max_output_tokens:
        raise InvalidValue(
            f"'max_tokens' should be at most {model.max_output_tokens} for the model '{model.id}'; "
            f"got {request.max_tokens}.",
            param="max_tokens",
        )
    _check_stream(request)
    _check_length(model, request)


def _check_stream(request: CompletionRequest) -> None:
    options = request.stream_options
    if options is None:
        return
    if not request.stream:
        raise InvalidValue("'stream_options' needs 'stream' to be true.", param="stream_options")
    for name in ("include_obfuscation", "continuous_usage_stats"):
        if getattr(options, name):
            param = f"stream_options.{name}"
            raise UnsupportedParameter(f"'{param}' is not available. Leave it out or send false.", param=param)


def _check_length(model: Model, request: CompletionRequest) -> None:
    """Refuse what surely does not fit; the engine, which counts, refuses the rest with the same code."""
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    prompt_bytes = sum(text_bytes(prompt) for prompt in prompts)
    least_tokens, output_tokens = prompt_bytes // MOST_BYTES_PER_TOKEN + 1, request.max_tokens or 1
    if least_tokens + output_tokens > model.context_tokens:
        raise ContextLengthExceeded(
            f"The model '{model.id}' has a context of {model.context_tokens} tokens; the prompt is at least "
            f"{least_tokens} and the output asked for is {output_tokens}. Shorten one of them.",
            param="prompt",
        )
