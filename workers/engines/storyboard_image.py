"""A development model: real pictures of the size and format asked for, whose only art is the prompt itself."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.media import Draw
from schemas.usage import Usage
from workers.engine import Drawn
from workers.engines import setup
from workers.engines.storyboard_picture import draft, drawn, encoded

MOST_PIXELS: Final = 16_000_000
"""Of one picture, which is drawn in memory, several layers at once."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options`. `jobs` is how many are drawn at once, each by one thread."""

    jobs: int = 2


class StoryboardImage:
    """Draws in threads, one picture or draft at a time, so that a job that is cancelled stops at the next."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.image is not None, "an image model has its contract"
        self.slots = setup.options(model, Options).jobs
        if self.slots < 1:
            raise setup.SetupError(f"model '{model.id}': engine_options: jobs should be at least 1")
        for size in model.image.sizes:
            width, height = (int(side) for side in size.split("x"))
            if width * height > MOST_PIXELS:
                raise setup.SetupError(f"model '{model.id}': size {size}: {MOST_PIXELS} pixels are the most")

    async def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Drawn | UsageReport], None]:
        yield [UsageReport(Usage())]
        for number in range(asked.images):
            given = _stages(asked, number)
            while (each := await asyncio.to_thread(next, given, None)) is not None:
                whole = each.partial is None
                yield [UsageReport(Usage(units=number + 1)), each] if whole else [each]

    async def close(self) -> None:
        """Nothing is open."""


def _stages(asked: Draw, number: int) -> Iterator[Drawn]:
    """The drafts of one picture, and then it."""
    transparent = asked.background == "transparent"
    encode = partial(encoded, transparent=transparent)
    content_type = f"image/{asked.output_format}"
    image = drawn(asked, number)
    for each in range(asked.partial_images):
        sketch = encode(draft(image, each, asked.partial_images), asked.output_format, asked.output_compression)
        yield Drawn(number, sketch, content_type, each)
    yield Drawn(number, encode(image, asked.output_format, asked.output_compression), content_type)
