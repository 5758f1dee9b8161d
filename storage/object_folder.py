"""Objects as files below one folder."""

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import Final

from storage.content_types import type_by_ending
from storage.draft import Draft
from storage.objects import InParts, ObjectHead, checked_key
from storage.signed_urls import UrlSigner
from storage.to_its_end import to_its_end

PIECE_BYTES: Final = 256 * 1024
TYPES: Final = ".types"
"""Where the content types lie that a key's ending does not tell."""


class ObjectFolder:
    """A folder that every part of the platform sees under the same path; the ingress serves its signed URLs.

    What is put alone also outlives the machine; what is put together is on the disk when the machine gets round to it.
    Unlike S3, a folder holds no object whose key is the beginning of another's path.
    """

    def __init__(self, folder: Path, signer: UrlSigner | None = None) -> None:
        """Without a signer, its URLs are good only here and only for as long as it is there."""
        self._folder = folder
        self._signer = signer or UrlSigner("", secrets.token_bytes())

    async def put(self, key: str, body: bytes, *, content_type: str | None = None) -> None:
        await asyncio.to_thread(self._write, key, body, content_type, durable=True)

    async def put_all(self, bodies: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._write_all, bodies)

    async def put_stream(self, key: str, pieces: AsyncIterator[bytes], *, content_type: str | None = None) -> int:
        path = self._path(key)
        draft = Draft(self._folder)
        waiting = bytearray()
        try:
            async for piece in pieces:
                waiting += piece
                if len(waiting) >= PIECE_BYTES:
                    await to_its_end(partial(draft.write, waiting))
                    waiting.clear()
            await to_its_end(partial(self._finish, draft, waiting, key, path, content_type))
        finally:
            await to_its_end(draft.discard)
        return draft.size_bytes

    async def begin_parts(self, key: str, content_type: str | None = None) -> InParts:
        self._path(key)
        return await to_its_end(partial(self._begin, content_type))

    async def add_part(self, key: str, parts: InParts, part: bytes) -> InParts:
        return await to_its_end(partial(self._add, parts, part))

    async def finish_parts(self, key: str, parts: InParts, rest: bytes) -> int:
        path = self._path(key)
        draft = Draft(self._folder, parts.upload)
        await to_its_end(partial(draft.go_on, parts.size_bytes))
        try:
            await to_its_end(partial(self._finish, draft, rest, key, path, parts.content_type))
        finally:
            await to_its_end(draft.leave)
        return draft.size_bytes

    async def forget_parts(self, key: str, parts: InParts) -> None:
        await to_its_end(Draft(self._folder, parts.upload).discard_left)

    async def get(self, key: str) -> bytes:
        with _absent(key):
            return await asyncio.to_thread(self._path(key).read_bytes)

    async def head(self, key: str) -> ObjectHead:
        with _absent(key):
            return await asyncio.to_thread(self._head, key)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        left = max(0, (sys.maxsize if end is None else end) - start)
        with _absent(key), _Reader(self._path(key), start) as reader:
            while piece := await to_its_end(partial(reader.read, min(left, PIECE_BYTES))):
                left -= len(piece)
                yield piece

    async def delete(self, key: str) -> None:
        await asyncio.to_thread(self._delete, key)

    async def groups(self, prefix: str) -> list[str]:
        return await asyncio.to_thread(self._groups, prefix)

    async def delete_group(self, prefix: str) -> None:
        await asyncio.to_thread(self._delete_group, prefix)

    async def signed_url(self, key: str, until_ms: int, *, file_name: str | None = None) -> str:
        return self._signer.url(checked_key(key), until_ms, file_name)

    def check(self, key: str, signed: Mapping[str, str], now_ms: int) -> str | None:
        return self._signer.check(key, signed, now_ms)

    def _write_all(self, bodies: Mapping[str, bytes]) -> None:
        for key, body in bodies.items():
            self._write(key, body, None, durable=False)

    def _write(self, key: str, body: bytes, content_type: str | None, *, durable: bool) -> None:
        path = self._path(key)
        draft = Draft(self._folder)
        try:
            draft.write(body)
            self._keep_type(key, content_type)
            draft.become(path, durable=durable)
        finally:
            draft.discard()

    def _begin(self, content_type: str | None) -> InParts:
        draft = Draft(self._folder)
        draft.write(b"")
        draft.leave()
        return InParts(draft.name, content_type)

    def _add(self, parts: InParts, part: bytes) -> InParts:
        draft = Draft(self._folder, parts.upload)
        draft.go_on(parts.size_bytes)
        try:
            draft.write(part)
        finally:
            draft.leave()
        return InParts(parts.upload, parts.content_type, draft.size_bytes)

    def _finish(self, draft: Draft, rest: bytes | bytearray, key: str, path: Path, content_type: str | None) -> None:
        draft.write(rest)
        self._keep_type(key, content_type)
        draft.become(path, durable=True)

    def _keep_type(self, key: str, content_type: str | None) -> None:
        """Before the body has its name, so that it is never read under another's type for longer than a moment."""
        note = self._folder / TYPES / key
        if content_type is None or content_type == type_by_ending(key):
            self._unlink(note)
            return
        draft = Draft(self._folder)
        try:
            draft.write(content_type.encode())
            draft.become(note, durable=True)
        finally:
            draft.discard()

    def _head(self, key: str) -> ObjectHead:
        path = self._path(key)
        with path.open("rb") as file:
            seen = os.fstat(file.fileno())
        try:
            content_type = (self._folder / TYPES / key).read_text()
        except (FileNotFoundError, NotADirectoryError):
            content_type = type_by_ending(key)
        return ObjectHead(seen.st_size, content_type, f'"{seen.st_ino:x}-{seen.st_mtime_ns:x}-{seen.st_size:x}"')

    def _groups(self, prefix: str) -> list[str]:
        folder = self._path(prefix) if prefix else self._folder
        if not folder.is_dir():
            return []
        return sorted(each.name for each in folder.iterdir() if each.name[0] != "." and each.is_dir())

    def _delete(self, key: str) -> None:
        self._unlink(self._path(key))
        self._unlink(self._folder / TYPES / key)

    def _unlink(self, path: Path) -> None:
        """Without the folders that are empty then: there is one for every job."""
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        # Empty no more, or gone already, is where it ends.
        with contextlib.suppress(OSError):
            for folder in path.parents:
                if folder == self._folder:
                    return
                folder.rmdir()

    def _delete_group(self, prefix: str) -> None:
        for top in (self._path(prefix), self._folder / TYPES / prefix):
            for folder, _, names in os.walk(top, topdown=False):
                for name in names:
                    Path(folder, name).unlink(missing_ok=True)
                # Gone already, or in use again.
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()

    def _path(self, key: str) -> Path:
        """Told from the key's text alone: asking the disk about every folder on the way costs more than a write."""
        return self._folder / checked_key(key)


class _Reader:
    """A file from a place in it on, opened by the first read."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        self._start = start
        self._file: BufferedReader | None = None

    def __enter__(self) -> "_Reader":
        return self

    def __exit__(self, *failure: object) -> None:
        if self._file is not None:
            self._file.close()

    def read(self, most_bytes: int) -> bytes:
        if self._file is None:
            self._file = self._path.open("rb")
            self._file.seek(self._start)
        return self._file.read(most_bytes)


@contextlib.contextmanager
def _absent(key: str) -> Iterator[None]:
    """A folder is no object."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError) as failure:
        raise FileNotFoundError(f"there is no object {key!r}") from failure
