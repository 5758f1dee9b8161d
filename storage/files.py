"""What is known of callers' files; the bytes lie in object storage.

penstock:file:{account}:{id}       the encoded File, until it expires
penstock:files:{account}           zset  ids, which sort by the time of making
penstock:upload:{digest of token}  the encoded Upload, while it may be put
"""

import asyncio
import hashlib
import os
from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.batches import File, Upload
from storage.line import Line, Script

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(File)
UPLOAD_DECODER: Final = msgspec.msgpack.Decoder(Upload)

CREATE: Final = Script("""
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[3] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[3]) end
redis.call('ZADD', KEYS[2], 0, ARGV[2])
return 1
""")


def new_file_id(now_ms: int) -> str:
    """Sorts by its time."""
    return f"file-{now_ms:012x}{os.urandom(10).hex()}"


def object_key(account: str, file_id: str) -> str:
    return f"files/{account}/{file_id}"


class Files:
    """Every call raises Undecidable when Redis is out of reach."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def create(self, file: File) -> None:
        """Makes the file known. Again, it changes nothing."""
        keys = (_key(file.account, file.id), _index(file.account))
        await self._line.run(CREATE, keys, ENCODER.encode(file), file.id, file.expires_ms or "")

    async def get(self, account: str, file_id: str) -> File | None:
        """None for a file that is unknown, another account's, deleted, or expired."""
        found = await self._line.call("GET", _key(account, file_id))
        return None if found is None else DECODER.decode(found)

    async def list(
        self, account: str, purpose: str | None, *, after: str | None, limit: int, descending: bool
    ) -> Sequence[File]:
        """The account's files behind `after`, up to `limit`."""
        found: list[File] = []
        while len(found) < limit:
            ids = await self._ids(account, after, limit, descending)
            if not ids:
                break
            files = await asyncio.gather(*(self.get(account, file_id) for file_id in ids))
            gone = [file_id for file_id, file in zip(ids, files, strict=True) if file is None]
            if gone:
                await self._line.call("ZREM", _index(account), *gone)
            found += [file for file in files if file is not None and purpose in (None, file.purpose)]
            after = ids[-1]
        return found[:limit]

    async def delete(self, file: File) -> bool:
        """False when it was gone already."""
        await self._line.call("ZREM", _index(file.account), file.id)
        return bool(await self._line.call("DEL", _key(file.account, file.id)))

    async def announce(self, upload: Upload, token: str) -> None:
        """Lets whoever has the token put the file's bytes, until its time is over."""
        await self._line.call("SET", _upload(token), ENCODER.encode(upload), "PXAT", upload.until_ms)

    async def announced(self, token: str) -> Upload | None:
        found = await self._line.call("GET", _upload(token))
        return None if found is None else UPLOAD_DECODER.decode(found)

    async def _ids(self, account: str, after: str | None, limit: int, descending: bool) -> Sequence[str]:
        bound = f"({after}" if after else None
        span: tuple[str, ...] = (bound or "+", "-", "REV") if descending else (bound or "-", "+")
        start, stop, *rest = span
        ids = await self._line.call("ZRANGE", _index(account), start, stop, "BYLEX", *rest, "LIMIT", 0, limit)
        return [each.decode() for each in ids]


def put_name(token: str) -> str:
    """The name that a put at this upload's URL has among requests that are done by one at a time."""
    return f"{_upload(token)}:put"


def _key(account: str, file_id: str) -> str:
    return f"penstock:file:{{{account}}}:{file_id}"


def _index(account: str) -> str:
    return f"penstock:files:{{{account}}}"


def _upload(token: str) -> str:
    return f"penstock:upload:{hashlib.sha256(token.encode()).hexdigest()}"
