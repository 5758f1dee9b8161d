"""What counts as an image: the kinds that every vision model reads, told by their first bytes."""

from typing import Final

IMAGE_TYPES: Final = ("image/png", "image/jpeg", "image/webp", "image/gif")

MAX_IMAGE_BYTES: Final = 20 * 1024 * 1024
"""OpenAI takes no larger one, Anthropic 5 MB of base64 or 10 (2026-11); none reads more than some megapixels of it."""

MAX_URLS: Final = 32
"""Images and documents that one chat may have the platform fetch."""

HEAD_BYTES: Final = 12
"""How much of an image tells its kind."""


def image_type(head: bytes) -> str | None:
    """The media type of the image that begins with `head`; None where that is no image any model reads."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "image/gif"
    return None
