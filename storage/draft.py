"""A file that is whole when it gets its name."""

import contextlib
import os
import secrets
import time
from io import BufferedRandom, BufferedWriter
from pathlib import Path
from typing import Final

DRAFTS: Final = ".drafts"
ABANDONED_S: Final = 86_400.0


class Draft:
    """Made by its first write, in one place below `top` with all other drafts; `become` or `discard` ends it."""

    def __init__(self, top: Path, name: str = "") -> None:
        """With the name of one that was left, it is that one; `go_on` comes first then."""
        self._top = top
        self.name = name or secrets.token_hex(12)
        self._path = top / DRAFTS / self.name
        self._file: BufferedWriter | BufferedRandom | None = None
        self.size_bytes = 0

    def write(self, piece: bytes | bytearray) -> None:
        if self._file is None:
            self._file = _new(self._path)
        self.size_bytes += self._file.write(piece)

    def go_on(self, size_bytes: int) -> None:
        """Takes up a draft that was left when it had this size. Raises FileNotFoundError where it is gone, or less."""
        self._file = self._path.open("r+b")
        if os.fstat(self._file.fileno()).st_size < size_bytes:
            self._file.close()
            raise FileNotFoundError(f"the draft {self.name} has lost what was written")
        self._file.truncate(size_bytes)
        self._file.seek(size_bytes)
        self.size_bytes = size_bytes

    def leave(self) -> None:
        """Lets another go on with it, in this process or another."""
        assert self._file is not None, "nobody could find what was never written"
        self._file.close()

    def become(self, path: Path, *, durable: bool) -> None:
        """Takes this place below `top`, and that of the file that was there. Durable, it outlives the machine."""
        assert self._file is not None, "an empty file is written, too"
        if durable:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        made = _place(self._path, path)
        if durable:
            for folder in path.parents:
                _sync_folder(folder)
                if not made or folder == self._top:
                    break

    def discard(self) -> None:
        """Leaves nothing of what has not become anything."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def discard_left(self) -> None:
        """Deletes a draft that was left, if it is there."""
        self._path.unlink(missing_ok=True)


def _new(path: Path) -> BufferedWriter:
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def _place(draft: Path, path: Path) -> bool:
    """Whether folders had to be made on the way; another process may be removing those that are empty."""
    made = False
    while True:
        try:
            draft.replace(path)
            return made
        except FileNotFoundError:
            if not draft.exists():
                raise
            path.parent.mkdir(parents=True, exist_ok=True)
            made = True


def _sync_folder(folder: Path) -> None:
    """A name in a folder is on the disk only when the folder is."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard_old(top: Path) -> None:
    """Deletes what processes that died have left. Whatever is being written was written to a moment ago."""
    if (top / DRAFTS).is_dir():
        for path in (top / DRAFTS).iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process deletes it, or it has become what it is
                if path.stat().st_mtime < time.time() - ABANDONED_S:
                    path.unlink()
