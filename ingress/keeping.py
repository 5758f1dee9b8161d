"""Callers' files on their way into storage: what is known of them is there only when their bytes are."""

from collections.abc import AsyncIterator
from typing import Final

from ingress.door import Door
from schemas.batches import MOST_FILE_BYTES, File, Upload
from schemas.errors import BodyTooLarge, Undecidable
from storage.files import object_key

JSON_LINES: Final = "application/jsonl"


async def keep(door: Door, upload: Upload, pieces: AsyncIterator[bytes]) -> File:
    """The file, once its bytes rest. Raises BodyTooLarge, Undecidable, and what `pieces` do; then there is none."""
    key, until_ms = object_key(upload.account, upload.id), upload.created_ms + upload.keep_ms
    try:
        size_bytes = await door.expiring.put_stream(key, _bounded(pieces), until_ms, content_type=JSON_LINES)
    except OSError as failure:
        raise Undecidable("The file cannot be stored at the moment.", retry_after_s=5) from failure
    file = File(upload.id, upload.account, upload.name, "batch", key, size_bytes, upload.created_ms, until_ms)
    await door.files.create(file)
    return file


async def _bounded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size_bytes = 0
    async for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > MOST_FILE_BYTES:
            raise BodyTooLarge(f"The file is larger than the {MOST_FILE_BYTES} bytes that are accepted.", param="file")
        yield piece
