"""Bodies too large for the log: put once, read once, deleted."""

import asyncio
import os
import tempfile
from pathlib import Path


class ObjectFolder:
    """Objects as files below one folder, which every part of the platform sees under the same path.

    A put is whole or absent, whatever dies in the middle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, body: bytes) -> None:
        await asyncio.to_thread(self._write, key, body)

    async def get(self, key: str) -> bytes:
        """Raises FileNotFoundError."""
        return await asyncio.to_thread(self._path(key).read_bytes)

    async def delete(self, key: str) -> None:
        """Deletes the object if it is there."""
        await asyncio.to_thread(self._path(key).unlink, missing_ok=True)

    def _write(self, key: str, body: bytes) -> None:
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        draft = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(body)
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
