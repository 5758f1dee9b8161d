"""The body of `POST /v1/videos`, which OpenAI's clients send, and of DigitalOcean's `POST /v1/video/generations`."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from schemas.wire.openai_chat import Label, Metadata
from schemas.wire.openai_sampling import Int64

LONGEST_URL = 2048


def _reference_shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(object)" if isinstance(value, dict | ImageReference) else None


def _seconds_shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    return "(number)" if isinstance(value, int | float) and not isinstance(value, bool) else None


class ImageReference(BaseModel):
    """OpenAI's; `file_id` is known to be refused by name."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    image_url: str | None = None
    file_id: str | None = None


Reference = Annotated[
    Annotated[str, Tag("(string)")] | Annotated[ImageReference, Tag("(object)")],
    Discriminator(
        _reference_shape,
        custom_error_type="reference_shape",
        custom_error_message="should be an image, a data URI, or an object with 'image_url'",
    ),
]
Seconds = Annotated[
    Annotated[str, Tag("(string)"), Field(max_length=32)] | Annotated[float, Tag("(number)")],
    Discriminator(
        _seconds_shape,
        custom_error_type="seconds_shape",
        custom_error_message="should be a number of seconds, as a number or in a string",
    ),
]


class VideoRequest(BaseModel):
    """A video to be made. `seconds` is text with OpenAI and a number with others; `size` may be as in `720p`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    prompt: Annotated[str, Field(min_length=1)]
    seconds: Seconds | None = None
    size: Annotated[str, Field(max_length=32)] | None = None
    fps: Int64 | None = None
    seed: Int64 | None = None
    negative_prompt: str | None = None
    input_reference: Reference | None = None
    webhook_url: Annotated[str, Field(min_length=1, max_length=LONGEST_URL)] | None = None

    # Words about the request that do not change the video.
    user: Label | None = None
    safety_identifier: Label | None = None
    metadata: Metadata | None = None
