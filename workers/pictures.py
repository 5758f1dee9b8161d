"""Pictures on their way out: too large for a channel, they rest in object storage and the channel carries where."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from schemas.chunks import Delta, UsageReport
from schemas.errors import Undecidable
from schemas.media import Draw
from schemas.media_chunks import Picture
from storage.objects import Objects
from workers.engine import Drawn, ImageEngine


class Depositing:
    """An image engine whose pictures are laid down, below the account and the job, before anybody hears of them."""

    def __init__(self, engine: ImageEngine, objects: Objects, account: str) -> None:
        self._engine = engine
        self._objects = objects
        self._account = account

    async def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Delta], None]:
        async with aclosing(self._engine.generate(job_id, asked)) as batches:
            async for batch in batches:
                yield [await self._deposited(job_id, each) for each in batch]

    async def close(self) -> None:
        await self._engine.close()

    async def _deposited(self, job_id: str, given: Drawn | UsageReport) -> Delta:
        if isinstance(given, UsageReport):
            return given
        key = picture_key(self._account, job_id, given)
        try:
            await self._objects.put(key, given.data)
        except OSError as failure:
            raise Undecidable("The picture cannot be stored at the moment.", retry_after_s=5) from failure
        return Picture(given.image, key, len(given.data), given.content_type, given.partial, given.revised_prompt)


def picture_key(account: str, job_id: str, drawn: Drawn) -> str:
    draft = "" if drawn.partial is None else f"-draft{drawn.partial}"
    ending = drawn.content_type.rpartition("/")[2]
    return f"media/{account}/{job_id}/{drawn.image}{draft}.{ending}"
