"""What messages of a chat completion are made of: their parts, and the calls in them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

JsonObject = dict[str, Any]


class Wire(BaseModel):
    """Strict: a number in quotes is a mistake of the caller's that should not pass by luck."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class CacheControl(Wire):
    """Anthropic's mark, which DigitalOcean takes in chat completions too."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class _Part(Wire):
    cache_control: CacheControl | None = None
    prompt_cache_breakpoint: JsonObject | None = None


class TextPart(_Part):
    type: Literal["text"]
    text: str


class RefusalPart(_Part):
    type: Literal["refusal"]
    refusal: str


class ImageUrl(Wire):
    url: str = Field(min_length=1)
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(_Part):
    type: Literal["image_url"]
    image_url: ImageUrl


class AudioPart(_Part):
    type: Literal["input_audio"]
    input_audio: JsonObject


class VideoPart(_Part):
    type: Literal["video_url"]
    video_url: JsonObject


class File(Wire):
    file_data: str | None = None
    filename: str | None = None
    file_id: str | None = None


class FilePart(_Part):
    type: Literal["file"]
    file: File


def _part_type(value: Any) -> str | None:
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"({kind})" if isinstance(kind, str) else None


# Tags stand in brackets so that they can be told from field names in the place of an error.
Part = Annotated[
    Annotated[TextPart, Tag("(text)")]
    | Annotated[RefusalPart, Tag("(refusal)")]
    | Annotated[ImagePart, Tag("(image_url)")]
    | Annotated[AudioPart, Tag("(input_audio)")]
    | Annotated[VideoPart, Tag("(video_url)")]
    | Annotated[FilePart, Tag("(file)")],
    Discriminator(
        _part_type,
        custom_error_type="part_type",
        custom_error_message="should be 'text', 'refusal', 'image_url', 'input_audio', 'video_url' or 'file'",
    ),
]


def _content_shape(value: Any) -> str | None:
    if isinstance(value, str):
        return "(string)"
    if isinstance(value, list):
        return "(parts)"
    return "(part)" if isinstance(value, dict | _Part) else None


Content = Annotated[
    Annotated[str, Tag("(string)")]
    | Annotated[list[Part], Field(min_length=1, fail_fast=True), Tag("(parts)")]
    | Annotated[Part, Tag("(part)")],
    Discriminator(
        _content_shape,
        custom_error_type="content_shape",
        custom_error_message="should be a string, an array of parts or one part",
    ),
]


class CalledFunction(Wire):
    """`arguments` is what the model wrote, JSON or not: whoever sends it back cannot be asked to have mended it."""

    name: str = Field(min_length=1)
    arguments: str


class ToolCall(Wire):
    """A call in an assistant's message; `index` is what is left of a streamed one."""

    id: str = Field(min_length=1)
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None
