"""A development model: real pictures of the size and format asked for, whose only art is the prompt itself."""

import asyncio
import pkgutil
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Final

import msgspec

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.media import Draw
from schemas.usage import Usage
from workers.engine import Drawn
from workers.engines import setup
from workers.engines.once import Once

Stages = Callable[[Draw, int], Iterator[Drawn]]

STAGES: Final = "workers.engines.storyboard_picture:stages"
"""By name and not by import: Pillow and its codecs wait until somebody wants a picture."""

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
        setup.need(model, "PIL")
        self._stages: Once[Stages] = Once(model.id, lambda: pkgutil.resolve_name(STAGES))
        for size in model.image.sizes:
            width, height = (int(side) for side in size.split("x"))
            if width * height > MOST_PIXELS:
                raise setup.SetupError(f"model '{model.id}': size {size}: {MOST_PIXELS} pixels are the most")

    async def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Drawn | UsageReport], None]:
        stages = await self._stages.get()
        yield [UsageReport(Usage())]
        for number in range(asked.images):
            given = stages(asked, number)
            while (each := await asyncio.to_thread(next, given, None)) is not None:
                whole = each.partial is None
                yield [UsageReport(Usage(units=number + 1)), each] if whole else [each]

    async def close(self) -> None:
        await self._stages.close()
