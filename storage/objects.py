"""Bodies too large for the log, and what is kept for longer than Redis should hold it."""

import asyncio
import contextlib
import os
import secrets
from collections.abc import Mapping
from io import BufferedWriter
from pathlib import Path


class ObjectFolder:
    """Objects as files below one folder, which every part of the platform sees under the same path.

    A put is whole or absent, whatever process dies in the middle. One alone also outlives the machine; what is put
    together is on the disk when the machine gets round to it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, key: str, body: bytes) -> None:
        await asyncio.to_thread(self._write, key, body, durable=True)

    async def put_all(self, bodies: Mapping[str, bytes]) -> None:
        await asyncio.to_thread(self._write_all, bodies)

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

    def _write_all(self, bodies: Mapping[str, bytes]) -> None:
        for key, body in bodies.items():
            self._write(key, body, durable=False)

    def _write(self, key: str, body: bytes, *, durable: bool) -> None:
        path = self._path(key)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        try:
            with _new(draft) as file:
                file.write(body)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            draft.replace(path)
            if durable:
                _sync_folder(path.parent)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise

    def _path(self, key: str) -> Path:
        """Told from the key's text alone: asking the disk about every folder on the way costs more than a write."""
        if key.startswith("/") or ".." in key.split("/"):
            raise ValueError(f"{key!r} leaves the folder")
        return self._folder / key


def _new(path: Path) -> BufferedWriter:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def _sync_folder(folder: Path) -> None:
    """A name in a folder is on the disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
