"""The body of `POST /v1/completions`, for the clients that still send it."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from schemas.wire.openai_chat import Label, Metadata, StreamOptions, TokenId
from schemas.wire.openai_sampling import Int64, Sampled


def _prompt_shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(strings)" if isinstance(value, list) else None


Prompt = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[list[str], Field(min_length=1, fail_fast=True), Tag("(strings)")],
    Discriminator(
        _prompt_shape,
        custom_error_type="prompt_shape",
        custom_error_message="should be a string or an array of strings",
    ),
]


class CompletionRequest(Sampled):
    """A text to go on from; `prompt` as token ids is not read, since the door has no tokenizer."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    prompt: Prompt

    max_tokens: Int64 | None = None
    n: Int64 | None = None
    logit_bias: dict[TokenId, float] | None = None
    logprobs: Annotated[Int64, Field(ge=0)] | None = None

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Label | None = None
    metadata: Metadata | None = None

    # What a model that is asked by chat cannot do; known, so that it can be refused by name.
    best_of: Int64 | None = None
    echo: bool | None = None
    suffix: str | None = None
