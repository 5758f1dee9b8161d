"""What the completions door and a model's catalogue row accept: everything else is refused before it is published."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from ingress.bounds import check_context, check_endpoint, check_output_tokens, check_stream_options
from ingress.rules import check_parameters
from ingress.tokens import text_bytes
from schemas.catalog import Model
from schemas.errors import UnsupportedParameter
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
    check_endpoint(model, ENDPOINT)
    for name in NOT_HERE:
        value = getattr(request, name)
        if value is not None and not ASKS_NOTHING[name](value):
            raise UnsupportedParameter(f"'{name}' is not available here. Leave it out.", param=name)
    if not isinstance(request.prompt, str) and len(request.prompt) > 1:
        raise UnsupportedParameter("'prompt' may hold one text. Send a request for each.", param="prompt")
    check_parameters(model, request, SAMPLING, ASKS_NOTHING)
    check_output_tokens(model, "max_tokens", request.max_tokens)
    check_stream_options(request.stream, request.stream_options)
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    check_context(model, "prompt", sum(text_bytes(prompt) for prompt in prompts), 1, request.max_tokens)
