"""Callers' files: what is known of them is there only when their bytes are."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from ingress.door import Door
from schemas.batches import MOST_FILE_BYTES, File, Upload
from schemas.errors import BodyTooLarge, Conflict, NotFound, Undecidable
from storage.files import object_key
from storage.idempotency import LEASE_MS, Yours

JSON_LINES: Final = "application/jsonl"
DAY_MS: Final = 86_400_000
LONGEST_NAME: Final = 255
RENEW_S: Final = LEASE_MS / 1000 / 3
"""Two renewals may be lost before the lease is."""

log = logging.getLogger(__name__)


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


@asynccontextmanager
async def alone(door: Door, name: str) -> AsyncIterator[None]:
    """Lets one caller do what has this name, of all doors'; raises Conflict while another does it.

    What a process that died has begun may be begun again after LEASE_MS.
    """
    owner = secrets.token_hex(8)
    if not isinstance(await door.idempotent.claim(name, "", owner), Yours):
        raise Conflict("Another request does the same at the moment.", retry_after_s=1)
    renewing = asyncio.create_task(_renew(door, name, owner), name="alone-renew")
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.shield(_let_go(door, name, owner))


async def _renew(door: Door, name: str, owner: str) -> None:
    while True:
        await asyncio.sleep(RENEW_S)
        try:
            await door.idempotent.renew(name, owner)
        except Undecidable as failure:
            log.debug("lease_not_renewed", extra={"reason": failure.message})


async def _let_go(door: Door, name: str, owner: str) -> None:
    try:
        await door.idempotent.let_go(name, owner)
    except Undecidable as failure:
        # The lease ends by itself.
        log.debug("lease_not_let_go", extra={"reason": failure.message})


async def own_file(door: Door, account: str, file_id: str, param: str = "file_id") -> File:
    """The account's own file. Raises NotFound."""
    file = await door.files.get(account, file_id)
    if file is None:
        raise NotFound(f"No such File object: {file_id[:100]}", param=param)
    return file


def name_of(given: str | None) -> str:
    """A file's own name, without the folders that some clients send along."""
    name = (given or "").replace("\\", "/").rpartition("/")[2].strip()
    return name[:LONGEST_NAME] or "batch.jsonl"


async def _bounded(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size_bytes = 0
    async for piece in pieces:
        size_bytes += len(piece)
        if size_bytes > MOST_FILE_BYTES:
            raise BodyTooLarge(f"The file is larger than the {MOST_FILE_BYTES} bytes that are accepted.", param="file")
        yield piece
