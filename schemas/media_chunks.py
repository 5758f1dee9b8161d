"""What models of other modalities than text give, as chunks of the canonical stream."""

import msgspec


class Vectors(msgspec.Struct, frozen=True, array_like=True, tag="v"):
    """The vectors of the inputs from number `first` on, one behind the other, as little-endian float32."""

    first: int
    dimensions: int
    data: bytes


class Picture(msgspec.Struct, frozen=True, array_like=True, tag="p"):
    """A picture that rests in object storage at `key`; `partial` is the number of a draft, None is the picture."""

    image: int
    key: str
    size_bytes: int
    content_type: str
    partial: int | None = None
    revised_prompt: str | None = None


class Audio(msgspec.Struct, frozen=True, array_like=True, tag="a"):
    """The next bytes of a sound in the format that was asked for."""

    data: bytes
