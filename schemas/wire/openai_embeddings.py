"""The body of `POST /v1/embeddings`: OpenAI's, of which DigitalOcean's is a part."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from schemas.media_rows import MOST_INPUTS
from schemas.wire.openai_chat import Label
from schemas.wire.openai_parts import Wire

MOST_TOKEN_ID = 2**31 - 1
"""More than any vocabulary has."""

Words = Annotated[str, Field(min_length=1)]
Tokens = Annotated[
    list[Annotated[int, Field(ge=0, le=MOST_TOKEN_ID)]], Field(min_length=1, fail_fast=True, title="Tokens")
]


def _input_shape(value: Any) -> str | None:
    match value:
        case str():
            return "(string)"
        case [int(), *_]:
            return "(tokens)"
        case [list(), *_]:
            return "(token arrays)"
        case list():
            return "(strings)"
        case _:
            return None


EmbeddingInput = Annotated[
    Annotated[Words, Tag("(string)")]
    | Annotated[list[Words], Field(min_length=1, max_length=MOST_INPUTS, fail_fast=True), Tag("(strings)")]
    | Annotated[Tokens, Tag("(tokens)")]
    | Annotated[list[Tokens], Field(min_length=1, max_length=MOST_INPUTS, fail_fast=True), Tag("(token arrays)")],
    Discriminator(
        _input_shape,
        custom_error_type="input_shape",
        custom_error_message="should be a string, an array of strings, or tokens",
    ),
]


class EmbeddingRequest(Wire):
    """Texts, or one text, to be turned into a vector each; the first of a list says what all of it is."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: EmbeddingInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    user: Label | None = None
