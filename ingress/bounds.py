"""What every door holds a request to beside its parameters: where a model is served, how much fits, how it streams."""

from typing import Final

from ingress.tokens import MOST_BYTES_PER_TOKEN
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from schemas.wire.openai_chat import StreamOptions
from schemas.wire.openai_responses import StreamOptions as ResponsesStreamOptions

HERE: Final = frozenset({"include_usage"})
"""Of the options of a stream."""


def check_endpoint(model: Model, endpoint: str, param: str = "model") -> None:
    """Return if the model is served at `endpoint`; else raise InvalidValue, saying where it is."""
    if endpoint not in model.endpoints:
        served = ", ".join(model.endpoints) or "no endpoint"
        raise InvalidValue(f"The model '{model.id}' is not served at {endpoint}, but at {served}.", param=param)


def check_output_tokens(model: Model, name: str, asked: int | None) -> None:
    """Return if the model can give as many tokens as the parameter `name` asks for; else raise InvalidValue."""
    if asked is not None and asked > model.max_output_tokens:
        raise InvalidValue(
            f"'{name}' should be at most {model.max_output_tokens} for the model '{model.id}'; got {asked}.", param=name
        )


def check_context(model: Model, param: str, input_bytes: int, messages: int, asked_tokens: int | None) -> None:
    """Refuse what surely does not fit the context; the engine, which counts, refuses the rest with the same code."""
    least_tokens, output_tokens = least_input_tokens(input_bytes, messages), asked_tokens or 1
    if least_tokens + output_tokens > model.context_tokens:
        raise ContextLengthExceeded(
            f"The model '{model.id}' has a context of {model.context_tokens} tokens; '{param}' is at least "
            f"{least_tokens} and the output asked for is {output_tokens}. Shorten one of them.",
            param=param,
        )


def least_input_tokens(input_bytes: int, messages: int) -> int:
    """No ordinary text is counted as fewer tokens, in so many messages."""
    return input_bytes // MOST_BYTES_PER_TOKEN + messages


def check_stream_options(stream: bool | None, options: StreamOptions | ResponsesStreamOptions | None) -> None:
    """Return if there is a stream for the options, and they ask for nothing that no stream here has."""
    if options is None:
        return
    if not stream:
        raise InvalidValue("'stream_options' needs 'stream' to be true.", param="stream_options")
    for name in sorted(options.model_fields_set - HERE):
        if getattr(options, name):
            param = f"stream_options.{name}"
            raise UnsupportedParameter(f"'{param}' is not available. Leave it out or send false.", param=param)
