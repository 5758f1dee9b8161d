"""Apache Kafka's jars: locked by hash, fetched once for a user, the same for all checkouts."""

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from storage.local.failure import MissingWheel, StartFailed

LOCK: Final = Path(__file__).with_name("kafka.lock.toml")
VERSION: Final = "4.3.1"

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps of it are done, and of how many."""


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def cache_folder() -> Path:
    """Where this user's copy of Kafka lies."""
    caches = os.environ.get("XDG_CACHE_HOME")
    return (Path(caches) if caches else Path.home() / ".cache") / "penstock" / f"kafka-{VERSION}"


def locked_jars(lock: Path = LOCK) -> list[Jar]:
    """What the lock names, in the order of the class path."""
    rows = tomllib.loads(lock.read_text())["dependencies"]
    jars = [Jar(row["groupId"], row["artifactId"], row["version"], row["sha256"]) for row in rows]
    return sorted(jars, key=lambda jar: jar.file_name)


def ensure_jars(cache: Path, progress: Progress) -> list[Path]:
    """The jars as files, fetched and verified first where they are not there; raises StartFailed.

    The folder takes its name from the lock and appears in one step after its last jar was verified, so that a folder
    which is there needs no second look at 44 MB. Of several processes one fetches and the others wait for it.
    """
    jars = locked_jars()
    folder = cache / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    if not folder.exists():
        with only_one(cache / "fetch.lock"):
            if not folder.exists():
                _fetch(jars, folder, progress)
    paths = [folder / jar.file_name for jar in jars]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise StartFailed(f"{folder} has lost {missing[0]}: remove that folder, it will be fetched again")
    return paths


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a lock that only one process of this machine has at a time; a process that dies gives it up."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(jars: Sequence[Jar], folder: Path, progress: Progress) -> None:
    """In a process of its own, so that nobody who has the jars pays for loading jgo."""
    if find_spec("jgo") is None:
        raise MissingWheel("jgo")
    command = [sys.executable, "-P", "-m", "storage.local.jar_fetch", str(folder)]
    progress("Kafka's jars", 0, len(jars))
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as fetch,
    ):
        for done, _ in enumerate(fetch.stdout or (), 1):
            progress("Kafka's jars", done, len(jars))
        if fetch.wait() != 0:
            errors.seek(0)
            words = errors.read().strip().splitlines() or [f"status {fetch.returncode}"]
            raise StartFailed(f"Kafka's jars cannot be fetched: {words[-1]}")
