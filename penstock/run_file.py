"""Who runs in a data folder: a lock that lasts as long as the supervisor, and a file that says what it runs."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from storage.local.failure import StartFailed

LOCK_NAME: Final = "run.lock"
FILE_NAME: Final = "run.json"


class PartRow(msgspec.Struct, frozen=True):
    name: str
    state: str
    pid: int | None
    restarts: int
    address: str


class Run(msgspec.Struct, frozen=True):
    """A stack that runs; its addresses are those that its parts are given. Holds passwords if the addresses do."""

    pid: int
    key_file: str
    ready: bool
    base_url: str
    data: str
    kafka: str
    redis: str
    database: str
    catalog: str
    parts: list[PartRow]


@contextmanager
def claim(data: Path) -> Iterator[None]:
    """Be the one supervisor of this folder; raises StartFailed when there is one already.

    The system lets go of the lock when the process ends, however it ends, so no process id is ever believed alone.
    """
    data.mkdir(parents=True, exist_ok=True)
    with (data / LOCK_NAME).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartFailed(f"a stack runs in {data} already: penstock down --data {data} stops it") from None
        # One that was killed has left its file.
        (data / FILE_NAME).unlink(missing_ok=True)
        try:
            yield
        finally:
            (data / FILE_NAME).unlink(missing_ok=True)


def is_claimed(data: Path) -> bool:
    try:
        with (data / LOCK_NAME).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def write_run(run: Run, data: Path) -> None:
    fresh = data / f"{FILE_NAME}.new"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(run)))
    fresh.rename(data / FILE_NAME)


def read_run(data: Path) -> Run | None:
    """What runs in this folder; None if nothing does, or if what does has not come so far as to say."""
    try:
        text = (data / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    return msgspec.json.decode(text, type=Run) if is_claimed(data) else None
