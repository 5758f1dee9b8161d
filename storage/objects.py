"""Bodies too large for the log, and what is kept for longer than Redis should hold it."""

import asyncio
import contextlib
import os
import tempfile
from pathlib import Path


class ObjectFolder:
    """Objects as files below one folder, which every part of the platform sees under the same path.

    A put is whole or absent, whatever process dies in the middle; one that is `durable` also outlives the machine.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, body: bytes, *, durable: bool = True) -> None:
        await asyncio.to_thread(self._write, key, body, durable)

    async def get(self, key: str) -> bytes:
        """Raises FileNotFoundError."""
        return await asyncio.to_thread(self._path(key).read_bytes)

    async def delete(self, key: str) -> None:
        """Deletes the object if it is there."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    async def groups(self, prefix: str) -> list[str]:
        """The names that stand directly below a prefix and have objects below themselves, in order."""
        return await asyncio.to_thread(self._groups, prefix)

    async def delete_group(self, prefix: str) -> None:
        """Deletes every object below a prefix, also while another process does."""
        await asyncio.to_thread(self._delete_group, prefix)

    def _groups(self, prefix: str) -> list[str]:
        folder = self._path(prefix)
        return sorted(each.name for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []

    def _delete_group(self, prefix: str) -> None:
        top = self._path(prefix)
        for folder, _, names in os.walk(top, topdown=False):
            for name in names:
                Path(folder, name).unlink(missing_ok=True)
            with contextlib.suppress(FileNotFoundError):
                Path(folder).rmdir()

    def _write(self, key: str, body: bytes, durable: bool) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        path = (self._folder / key).resolve()
        if not path.is_relative_to(self._folder.resolve()):
            raise ValueError(f"{key!r} leaves the folder")
        return path
