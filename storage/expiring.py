"""Objects that nobody needs any more from some time on, and that are then deleted, whatever became of who put them.

penstock:objects    zset  object's key → when it is due, ms
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from storage.due import DueList
from storage.line import Line
from storage.objects import Objects

DUE: Final = "penstock:objects"
MOST_SWEPT: Final = 64
TAKEN_MS: Final = 30_000
"""For how long what is to be deleted is left to the process that took it."""


class ExpiringObjects:
    """Raises Undecidable when Redis is out of reach, OSError when the object storage is.

    Whoever is done with an object earlier may delete it where it lies: its note is dropped when it is due.
    """

    def __init__(self, line: Line, objects: Objects) -> None:
        self._objects = objects
        self._due = DueList(line, DUE)

    async def put(self, key: str, body: bytes, until_ms: int) -> None:
        """Noted first: a process that dies in between leaves a note without its object, never the reverse."""
        await self.expire(key, until_ms)
        await self._objects.put(key, body)

    async def put_stream(
        self, key: str, pieces: AsyncIterator[bytes], until_ms: int, *, content_type: str | None = None
    ) -> int:
        """Likewise, piece by piece; returns its size in bytes."""
        await self.expire(key, until_ms)
        return await self._objects.put_stream(key, pieces, content_type=content_type)

    async def expire(self, key: str, at_ms: int) -> None:
        """Has the object deleted then, and not as was said before, if anything was."""
        await self._due.note(key, at_ms)

    async def keep(self, key: str, until_ms: int) -> None:
        """Has the object deleted no earlier than then: of two who need it, the one who needs it longer counts."""
        await self._due.note_no_earlier(key, until_ms)

    async def put_to_keep(self, key: str, body: bytes, until_ms: int) -> None:
        """As `put`, where the same object may have been put before, and promised to somebody for longer."""
        await self.keep(key, until_ms)
        await self._objects.put(key, body)

    async def sweep(self) -> int:
        """Deletes some objects that are due, and says how many notes that took off the list."""
        keys = await self._due.take(MOST_SWEPT, TAKEN_MS)
        done = await asyncio.gather(*[self._delete(key) for key in keys], return_exceptions=True)
        if failure := next((each for each in done if isinstance(each, BaseException)), None):
            raise failure
        return len(keys)

    async def _delete(self, key: str) -> None:
        """One that cannot be deleted stays on the list, and is in no other's way."""
        await self._objects.delete(key)
        await self._due.drop(key)
