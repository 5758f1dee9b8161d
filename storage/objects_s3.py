"""Objects in a bucket of anything that speaks S3."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from botocore.exceptions import BotoCoreError, NoCredentialsError

from schemas.errors import InvalidValue
from storage.content_types import disposition, type_by_ending
from storage.objects import PART_BYTES, InParts, ObjectHead, Objects, checked_key
from storage.s3_bucket import Bucket
from storage.s3_client import S3Failed, S3Refused, connect, translated
from storage.s3_reading import Reading
from storage.s3_setup import have_bucket, have_rules
from storage.s3_upload import Upload
from storage.settings import StorageSettings
from storage.to_its_end import to_its_end

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

PIECE_BYTES: Final = 256 * 1024
LONGEST_SIGNED_S: Final = 7 * 86_400
"""S3's own limit on how long a signed URL may be good."""

Result = TypeVar("Result")

log = logging.getLogger(__name__)


class S3Objects:
    """boto3 in a bounded pool of threads. `outside` signs URLs with the address at which clients reach the server."""

    def __init__(self, bucket: Bucket, outside: "S3Client", threads: ThreadPoolExecutor) -> None:
        self._bucket = bucket
        self._outside = outside
        self._threads = threads

    async def put(self, key: str, body: bytes, *, content_type: str | None = None) -> None:
        await self._run(partial(self._bucket.put, key, body, content_type))

    async def put_all(self, bodies: Mapping[str, bytes]) -> None:
        await asyncio.gather(*[self.put(key, body) for key, body in bodies.items()])

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes], *, content_type: str | None = None) -> int:
        upload = Upload(self._bucket, checked_key(key), content_type or type_by_ending(key))
        waiting = bytearray()
        try:
            async for piece in pieces:
                waiting += piece
                if len(waiting) >= PART_BYTES:
                    part = bytes(waiting)
                    waiting.clear()
                    await to_its_end(partial(upload.add, part), self._threads)
            await to_its_end(partial(upload.complete, bytes(waiting)), self._threads)
        except BaseException:
            await self._take_back(upload, key)
            raise
        return upload.size_bytes

    async def begin_parts(self, key: str, content_type: str | None = None) -> InParts:
        upload = Upload(self._bucket, checked_key(key), content_type or type_by_ending(key))
        await to_its_end(upload.begin, self._threads)
        return upload.parts()

    async def add_part(self, key: str, parts: InParts, part: bytes) -> InParts:
        upload = self._left(key, parts)
        await to_its_end(partial(upload.add, part), self._threads)
        return upload.parts()

    async def finish_parts(self, key: str, parts: InParts, rest: bytes) -> int:
        upload = self._left(key, parts)
        await to_its_end(partial(upload.complete, rest), self._threads)
        return upload.size_bytes

    async def forget_parts(self, key: str, parts: InParts) -> None:
        await self._take_back(self._left(key, parts), key)

    async def get(self, key: str) -> bytes:
        return await self._run(partial(self._get, checked_key(key)))

    async def head(self, key: str) -> ObjectHead:
        return await self._run(partial(self._bucket.head, key))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        reading = Reading(self._bucket, checked_key(key), start, end)
        try:
            while piece := await to_its_end(partial(reading.read, PIECE_BYTES), self._threads):
                yield piece
        finally:
            reading.close()

    async def delete(self, key: str) -> None:
        await self._run(partial(self._bucket.delete, key))

    async def groups(self, prefix: str) -> list[str]:
        return await self._run(partial(self._bucket.groups, prefix))

    async def delete_group(self, prefix: str) -> None:
        await self._run(partial(self._bucket.delete_group, prefix))

    async def signed_url(self, key: str, until_ms: int, *, file_name: str | None = None) -> str:
        """In a thread, since credentials may have to be fetched anew. S3 lets no URL be good for more than 7 days."""
        return await self._run(partial(self._sign, key, until_ms, file_name))

    def _left(self, key: str, parts: InParts) -> Upload:
        return Upload(self._bucket, checked_key(key), parts.content_type or type_by_ending(key), parts)

    def _sign(self, key: str, until_ms: int, file_name: str | None) -> str:
        asked = {
            "Bucket": self._bucket.name,
            "Key": self._bucket.key(key),
            "ResponseContentDisposition": disposition(file_name),
            "ResponseCacheControl": "private",
        }
        left_s = min(LONGEST_SIGNED_S, max(0, until_ms // 1000 - int(time.time())))
        with translated(key):
            return self._outside.generate_presigned_url("get_object", Params=asked, ExpiresIn=left_s)

    def _get(self, key: str) -> bytes:
        reading = Reading(self._bucket, key, 0, None)
        try:
            return b"".join(iter(partial(reading.read, PIECE_BYTES), b""))
        finally:
            reading.close()

    async def _take_back(self, upload: Upload, key: str) -> None:
        try:
            await to_its_end(upload.abort, self._threads)
        except OSError as failure:
            # Why the upload failed says more; the bucket's lifecycle takes the parts.
            log.warning("upload_not_aborted", extra={"key": key, "reason": str(failure)})

    async def _run(self, step: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, step)


@asynccontextmanager
async def open_s3(settings: StorageSettings, name: str, prefix: str) -> AsyncIterator[Objects]:
    """Have the bucket ready. Raises InvalidValue when S3 refuses it; one that is out of reach is waited for later."""
    threads = ThreadPoolExecutor(settings.s3_connections, thread_name_prefix="s3")
    try:
        prepare = partial(_prepare, settings, name, prefix)
        objects = await asyncio.get_running_loop().run_in_executor(threads, prepare, threads)
        yield objects
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _prepare(settings: StorageSettings, name: str, prefix: str, threads: ThreadPoolExecutor) -> S3Objects:
    try:
        bucket = Bucket(connect(settings, settings.s3_endpoint), name, prefix)
        outside = connect(settings, settings.s3_public_endpoint) if settings.s3_public_endpoint else bucket.client
    except (BotoCoreError, ValueError) as failure:
        raise InvalidValue(f"PENSTOCK_OBJECTS: no client for S3: {failure}") from failure
    try:
        have_bucket(bucket)
        if settings.s3_lifecycle:
            have_rules(bucket)
    except S3Refused as failure:
        raise InvalidValue(f"PENSTOCK_OBJECTS: {failure}") from failure
    except S3Failed as failure:
        if isinstance(failure.__cause__, NoCredentialsError):
            raise InvalidValue("PENSTOCK_OBJECTS: AWS_ACCESS_KEY_ID and its like are not set.") from failure
        log.warning("objects_out_of_reach", extra={"bucket": name, "reason": str(failure)})
    return S3Objects(bucket, outside, threads)
