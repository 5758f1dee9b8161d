"""What models of other modalities than text are asked for, once a door has left its dialect behind."""

from typing import Any, Literal

import msgspec

from schemas.chat import Image

ImageFormat = Literal["png", "jpeg", "webp"]
AudioFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]


class Embed(msgspec.Struct, frozen=True, omit_defaults=True, tag="embed"):
    """Inputs, each a text or the model's own tokens, to be turned into one vector each."""

    inputs: tuple[str | tuple[int, ...], ...]
    dimensions: int | None = None
    user: str | None = None


class Draw(msgspec.Struct, frozen=True, omit_defaults=True, tag="draw"):
    """Images of one prompt. `size` is WIDTHxHEIGHT in pixels; `partial_images` are drafts of each on the way."""

    prompt: str
    size: str
    images: int = 1
    quality: str | None = None
    background: str | None = None
    moderation: str | None = None
    output_format: ImageFormat = "png"
    output_compression: int | None = None
    partial_images: int = 0
    user: str | None = None


class Speak(msgspec.Struct, frozen=True, omit_defaults=True, tag="speak"):
    """A text to be spoken; `speed` 1 is the voice's own."""

    text: str
    voice: str
    output_format: AudioFormat = "mp3"
    instructions: str | None = None
    speed: float = 1.0


class Film(msgspec.Struct, frozen=True, omit_defaults=True, tag="film"):
    """A video of one prompt. `size` is WIDTHxHEIGHT in pixels; `image` is what it starts from."""

    prompt: str
    size: str
    seconds: float
    fps: int
    negative_prompt: str | None = None
    seed: int | None = None
    image: Image | None = None


class Invoke(msgspec.Struct, frozen=True, omit_defaults=True, tag="invoke"):
    """Arguments for an application of a queue of its own, as that application understands them."""

    arguments: dict[str, Any]
