"""The body of `POST /v1/images/generations`: OpenAI's, of which DigitalOcean's is a part."""

from typing import Annotated, Literal

from pydantic import Field

from schemas.media import ImageFormat
from schemas.wire.openai_chat import Label
from schemas.wire.openai_parts import Wire

Shown = Literal["b64_json", "url"]


class ImageRequest(Wire):
    """Pictures to be drawn. Which sizes, qualities and backgrounds there are, and how many, is the row's to say."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    prompt: Annotated[str, Field(min_length=1)]
    n: Annotated[int, Field(ge=1, le=10)] | None = None
    size: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    quality: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    background: Literal["auto", "transparent", "opaque"] | None = None
    moderation: Literal["auto", "low"] | None = None
    output_format: ImageFormat | None = None
    output_compression: Annotated[int, Field(ge=0, le=100)] | None = None
    response_format: Shown | None = None
    stream: bool | None = None
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    user: Label | None = None
