"""What stands for a job's pictures in its answer: their bytes, or URLs that open them for a while."""

import asyncio
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.chunks import Chunk
from schemas.errors import InternalError, Undecidable
from schemas.media_chunks import Picture
from schemas.wire.openai_images import Shown
from storage.expiring import ExpiringObjects
from storage.objects import Objects

SPARE_MS: Final = 60_000
"""How long a picture outlives its URL: the clock that deletes it is not the one that the URL was made by."""


class Pictures:
    """Fills `shown`, by the pictures' keys, with JSON that is ready to be written."""

    def __init__(self, objects: Objects, expiring: ExpiringObjects, shown: Shown, url_s: float) -> None:
        self._objects = objects
        self._expiring = expiring
        self._as_url = shown == "url"
        self._url_ms = int(url_s * 1000)
        self.shown: dict[str, msgspec.Raw] = {}

    async def fetch(self, chunks: Sequence[Chunk]) -> None:
        """Brings what the pictures among the chunks point to. Raises Undecidable, or InternalError when it is gone."""
        for chunk in chunks:
            if isinstance(chunk, Picture):
                self.shown[chunk.key] = await (self._url(chunk.key) if self._as_url else self._data(chunk.key))

    async def _url(self, key: str) -> msgspec.Raw:
        until_ms = time.time_ns() // 1_000_000 + self._url_ms
        await self._expiring.keep(key, until_ms + SPARE_MS)
        try:
            url = await self._objects.signed_url(key, until_ms)
        except OSError as failure:
            raise _unreadable() from failure
        return msgspec.Raw(msgspec.json.encode(url))

    async def _data(self, key: str) -> msgspec.Raw:
        try:
            data = await self._objects.get(key)
        except FileNotFoundError as failure:
            raise InternalError("A picture of this answer is kept no more.") from failure
        except OSError as failure:
            raise _unreadable() from failure
        return msgspec.Raw(await asyncio.to_thread(_quoted, data))


def _quoted(data: bytes) -> bytes:
    return b'"' + b64encode(data) + b'"'


def _unreadable() -> Undecidable:
    return Undecidable("The picture cannot be read at the moment.", retry_after_s=5)
