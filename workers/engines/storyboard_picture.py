"""Pictures of a storyboard: the prompt on its ground, and a shape for each of its words in the word's own colour."""

import hashlib
import io
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

from PIL import Image, ImageDraw

from schemas.media import Draw, ImageFormat
from workers.engine import Drawn
from workers.engines.title_card import colour, ground, write

MOST_SHAPES: Final = 16

COARSEST: Final = 4
"""How many pixels of a picture are one of its last draft's; of the draft before, twice as many."""

PLAIN_QUALITY: Final = 100
"""What OpenAI means where nobody asks for a compression."""

Digest = bytes


def stages(asked: Draw, number: int) -> Iterator[Drawn]:
    """The drafts of one picture, and then it."""
    transparent = asked.background == "transparent"
    encode = partial(encoded, transparent=transparent)
    content_type = f"image/{asked.output_format}"
    image = drawn(asked, number)
    for each in range(asked.partial_images):
        sketch = encode(draft(image, each, asked.partial_images), asked.output_format, asked.output_compression)
        yield Drawn(number, sketch, content_type, each)
    yield Drawn(number, encode(image, asked.output_format, asked.output_compression), content_type)


def drawn(asked: Draw, number: int) -> Image.Image:
    """Picture `number` of those asked for; the same whenever it is asked for."""
    size = width, height = _size(asked.size)
    words = asked.prompt.lower().split()
    first, last = (_digest(word)[0] / 256 for word in (words[0], words[-1]))
    image = Image.new("RGBA", size)
    if asked.background != "transparent":
        image.paste(ground(size, colour(first, 0.25), colour(last + 0.08, 0.45)))
    for place, word in enumerate(words[:MOST_SHAPES]):
        image.alpha_composite(_shape(size, word, _digest(f"{number} {place} {word}")))
    panel = Image.new("RGBA", size)
    box = (width * 0.05, height * 0.06, width * 0.95, height * 0.78)
    ImageDraw.Draw(panel).rounded_rectangle(box, radius=height / 24, fill=(0, 0, 0, 120))
    image.alpha_composite(panel)
    write(image, asked.prompt)
    return image


def draft(image: Image.Image, number: int, drafts: int) -> Image.Image:
    """Draft `number` of so many, each finer than the one before."""
    pixels = COARSEST * 2 ** (drafts - 1 - number)
    coarse = image.resize((max(1, image.width // pixels), max(1, image.height // pixels)))
    return coarse.resize(image.size)


def encoded(image: Image.Image, output_format: ImageFormat, compression: int | None, *, transparent: bool) -> bytes:
    """`compression` is OpenAI's: 100 leaves the least out."""
    lossy: dict[str, Any] = {"quality": PLAIN_QUALITY if compression is None else compression}
    body = io.BytesIO()
    flat = image if transparent else image.convert("RGB")
    flat.save(body, output_format.upper(), **({} if output_format == "png" else lossy))
    return body.getvalue()


def _shape(size: tuple[int, int], word: str, chance: Digest) -> Image.Image:
    """A disc or a hill, as chance has it, and the larger the longer its word."""
    width, height = size
    layer = Image.new("RGBA", size)
    draw = ImageDraw.Draw(layer)
    fill = (*colour(_digest(word)[0] / 256, 0.9), 150)
    radius = min(width, height) * min(0.3, 0.05 + 0.02 * len(word))
    x, y = width * chance[0] / 255, height * chance[1] / 255
    if chance[2] % 2:
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    else:
        draw.polygon([(x - 2 * radius, height), (x, height - 1.6 * radius), (x + 2 * radius, height)], fill=fill)
    return layer


def _digest(text: str) -> Digest:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _size(text: str) -> tuple[int, int]:
    width, height = (int(side) for side in text.split("x"))
    return width, height
