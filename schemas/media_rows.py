"""What a row says of a model of another modality than text: its contract beyond the price and the engine."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from schemas.media import AudioFormat, ImageFormat
from schemas.parameters import Row

MOST_INPUTS: Final = 2048
"""OpenAI's bound on the inputs of one request for embeddings."""

MOST_KEPT_S: Final = 7 * 86_400
"""A bucket's lifecycle, which is the same for all rows, deletes what is kept for longer."""

Size = Annotated[str, Field(pattern=r"^[1-9][0-9]{1,4}x[1-9][0-9]{1,4}$", description="WIDTHxHEIGHT in pixels")]


def _in_order(values: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(sorted(set(values)))


class Span(Row):
    """From `min` to `max`, both in it."""

    min: float
    max: float

    @model_validator(mode="after")
    def _is_one(self) -> "Span":
        if self.min > self.max:
            raise ValueError(f"min {self.min:g} is larger than max {self.max:g}")
        return self


class EmbeddingRow(Row):
    """`dimensions` is the vector's own length; `shorter` lets callers ask for fewer."""

    dimensions: int = Field(gt=0)
    shorter: bool = False
    max_inputs: int = Field(default=MOST_INPUTS, gt=0, le=MOST_INPUTS)
    max_input_tokens: int = Field(default=8192, gt=0, description="Of one input")
    token_inputs: bool = Field(default=False, description="Whether inputs may be the model's own tokens")


class ImageRow(Row):
    sizes: tuple[Size, ...] = Field(min_length=1, description="The first is what `auto` and nothing mean")
    max_images: int = Field(default=10, ge=1, le=10)
    qualities: tuple[str, ...] = ()
    backgrounds: tuple[str, ...] = ()
    output_formats: tuple[ImageFormat, ...] = ("png", "jpeg", "webp")
    max_partial_images: int = Field(default=0, ge=0, le=3)
    max_prompt_chars: int = Field(default=32_000, gt=0)


class SpeechRow(Row):
    """`voices` empty takes any name; `any_voice` takes any and speaks with the one there is."""

    voices: tuple[str, ...] = ()
    any_voice: bool = False
    output_formats: tuple[AudioFormat, ...] = ("mp3", "opus", "aac", "flac", "wav", "pcm")
    max_chars: int = Field(default=4096, gt=0)
    speed: Span | None = Span(min=0.25, max=4.0)
    instructions: bool = False


class VideoRow(Row):
    sizes: tuple[Size, ...] = Field(min_length=1, description="The first is the default")
    seconds: Span = Span(min=1, max=12)
    default_seconds: float = Field(default=4, gt=0)
    fps: Annotated[tuple[int, ...], AfterValidator(_in_order)] = (24,)
    default_fps: int = 24
    image_input: bool = False
    negative_prompt: bool = False
    seed: bool = False
    max_prompt_chars: int = Field(default=8_000, gt=0)
    keep_s: float = Field(default=7200, gt=0, le=MOST_KEPT_S, description="How long the file stays after completion")


class InvokeRow(Row):
    """`results` says whether files that the application made are copied into our storage, or its own URLs given."""

    results: Literal["copy", "link"] = "link"
    keep_s: float = Field(default=7200, gt=0, le=MOST_KEPT_S, description="How long copied files stay after completion")
    max_bytes: int = Field(default=512 * 1024 * 1024, gt=0, description="Of one copied file")
