"""A job's file on its way from the engine to object storage, over as many steps as it takes."""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from storage.async_record import RemoteFile
from storage.objects import PART_BYTES, InParts, Objects
from workers.job_engine import GivesRanges, JobAsked, JobEngine, OnlyWhole
from workers.long.held import Held

log = logging.getLogger(__name__)

LOST: Final = None
"""In place of a size: the claim on the job is gone, and whoever has it now goes on."""


class Storing:
    """One file of a job that is held. What was put is noted part by part, so that the next step goes on from there.

    From an engine that gives files only whole, each step begins at the beginning.
    """

    def __init__(self, held: Held, objects: Objects, engine: JobEngine, asked: JobAsked, handle: str) -> None:
        self._held = held
        self._objects = objects
        self._engine = engine
        self._asked = asked
        self._handle = handle

    async def put(self, key: str, file: RemoteFile) -> int | None:
        """The size of the file once it is there, or LOST. Raises OSError, and what the engine does."""
        at = self._held.at
        if not isinstance(self._engine, GivesRanges) or at.only_whole:
            return await self._put_whole(key, file)
        try:
            return await self._put_on(key, file, self._engine, at.parts)
        except OnlyWhole:
            log.info("file_only_whole", extra={"job_id": self._held.job.id})
            if at.parts is not None:
                await self._objects.forget_parts(key, at.parts)
            if not await self._held.mark(msgspec.structs.replace(at, parts=None, only_whole=True)):
                return LOST
            return await self._put_whole(key, file)
        except FileNotFoundError:
            if at.parts is None:
                raise
            return await self._found_or_anew(key)

    async def _put_whole(self, key: str, file: RemoteFile) -> int:
        pieces = self._engine.open(self._asked, self._handle, file)
        return await self._objects.put_stream(key, pieces, content_type=file.content_type)

    async def _put_on(self, key: str, file: RemoteFile, engine: GivesRanges, parts: InParts | None) -> int | None:
        start_bytes = 0 if parts is None else parts.size_bytes
        waiting = bytearray()
        pieces = engine.open_from(self._asked, self._handle, file, start_bytes)
        async with aclosing(pieces), aclosing(_parts_of(pieces, waiting)) as whole_parts:
            async for part in whole_parts:
                parts = parts or await self._objects.begin_parts(key, file.content_type)
                parts = await self._objects.add_part(key, parts, part)
                if not await self._held.mark(msgspec.structs.replace(self._held.at, parts=parts, tries=0)):
                    return LOST
        if parts is None:
            await self._objects.put(key, bytes(waiting), content_type=file.content_type)
            return len(waiting)
        return await self._objects.finish_parts(key, parts, bytes(waiting))

    async def _found_or_anew(self, key: str) -> int | None:
        """The upload is gone: whoever finished it died before that was noted, or it was given up as too old."""
        try:
            return (await self._objects.head(key)).size_bytes
        except FileNotFoundError:
            await self._held.mark(msgspec.structs.replace(self._held.at, parts=None))
            raise


async def _parts_of(pieces: AsyncGenerator[bytes, None], waiting: bytearray) -> AsyncGenerator[bytes, None]:
    """Parts of PART_BYTES or a little more; what is less stays in `waiting`."""
    async for piece in pieces:
        waiting += piece
        if len(waiting) >= PART_BYTES:
            part = bytes(waiting)
            waiting.clear()
            yield part
