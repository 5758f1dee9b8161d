"""Pictures on their way out: too large for a channel, they rest in object storage and the channel carries where."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, assert_never

from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineFailed, InvalidRequest, Undecidable
from schemas.images import HEAD_BYTES, image_type
from schemas.jobs import Job
from schemas.logged import topic_of
from schemas.media import Draw
from schemas.media_chunks import Picture
from storage.expiring import ExpiringObjects
from storage.log_replies import KEPT_MS as LOGGED_MS
from workers.engine import Drawn, DrawnElsewhere, ImageEngine
from workers.fetch import Fetcher

ANSWERED_MS: Final = 600_000
"""How long pictures outlive their job's deadline: until whoever waits has read them, or promised a URL for longer."""

MOST_PICTURE_BYTES: Final = 32 * 1024 * 1024
"""Of one that is fetched; a PNG of four megapixels that nothing can be left out of has half of it."""


class Deposits:
    """Where this worker's image engines leave their pictures, and how it comes by those that lie elsewhere."""

    def __init__(self, objects: ExpiringObjects, fetcher: Fetcher) -> None:
        self._objects = objects
        self._fetcher = fetcher

    def of(self, engine: ImageEngine, job: Job) -> "Depositing":
        kept_ms = ANSWERED_MS if topic_of(job.reply_to) is None else LOGGED_MS
        return Depositing(engine, self._objects, self._fetcher, job, job.deadline_ms + kept_ms)


class Depositing:
    """An image engine whose pictures are laid down, below the account and the job, before anybody hears of them.

    Each is noted to be deleted before it is there, so that no process that dies leaves one for ever.
    """

    def __init__(
        self, engine: ImageEngine, objects: ExpiringObjects, fetcher: Fetcher, job: Job, until_ms: int
    ) -> None:
        self._engine = engine
        self._objects = objects
        self._fetcher = fetcher
        self._job = job
        self._until_ms = until_ms

    async def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Delta], None]:
        async with aclosing(self._engine.generate(job_id, asked)) as batches:
            async for batch in batches:
                yield [await self._deposited(each) for each in batch]

    async def close(self) -> None:
        await self._engine.close()

    async def _deposited(self, given: Drawn | DrawnElsewhere | UsageReport) -> Delta:
        match given:
            case UsageReport():
                return given
            case Drawn():
                return await self._put(given)
            case DrawnElsewhere():
                return await self._put(await self._fetched(given))
            case _:
                assert_never(given)

    async def _fetched(self, given: DrawnElsewhere) -> Drawn:
        """Through the guard that callers' URLs go through: an upstream's word is no better."""
        try:
            data = await self._fetcher.get(given.url, MOST_PICTURE_BYTES)
        except InvalidRequest as failure:
            raise self._no_picture("gave a picture that could not be fetched") from failure
        content_type = image_type(data[:HEAD_BYTES])
        if content_type is None:
            raise self._no_picture("gave a URL that leads to no picture")
        return Drawn(given.image, data, content_type, revised_prompt=given.revised_prompt)

    async def _put(self, drawn: Drawn) -> Picture:
        key = picture_key(self._job.account, self._job.id, drawn)
        try:
            await self._objects.put_to_keep(key, drawn.data, self._until_ms)
        except OSError as failure:
            raise Undecidable("The picture cannot be stored at the moment.", retry_after_s=5) from failure
        return Picture(drawn.image, key, len(drawn.data), drawn.content_type, drawn.partial, drawn.revised_prompt)

    def _no_picture(self, what: str) -> EngineFailed:
        return EngineFailed(f"The engine of model '{self._job.model}' {what}.")


def picture_key(account: str, job_id: str, drawn: Drawn) -> str:
    draft = "" if drawn.partial is None else f"-draft{drawn.partial}"
    ending = drawn.content_type.rpartition("/")[2]
    return f"media/{account}/{job_id}/{drawn.image}{draft}.{ending}"
