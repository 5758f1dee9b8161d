"""The seam where long work comes from: engines that take a job, are asked how it goes, and have files at the end."""

from collections.abc import AsyncGenerator
from typing import NamedTuple, Protocol, runtime_checkable

from schemas.errors import PenstockError
from schemas.media import Film, Invoke
from storage.async_record import Made, RemoteFile


class JobAsked(NamedTuple):
    """What an engine is asked for. `id` is the job's, and the key by which the engine may know it again."""

    id: str
    account: str
    work: Film | Invoke
    deadline_ms: int


class Queued(NamedTuple):
    """The engine has the job and has not begun. `poll_after_s` is when it wants to be asked again, if it says so."""

    poll_after_s: float | None = None


class Running(NamedTuple):
    percent: int
    poll_after_s: float | None = None


class Failed(NamedTuple):
    """The engine's own end of the job without a result; nothing is charged."""

    error: PenstockError


State = Queued | Running | Made | Failed


class UncertainStart(Exception):
    """The engine may or may not have taken the job: nothing, or nothing that can be read, was answered."""


class OnlyWhole(Exception):
    """The engine gives this file from its beginning alone."""


@runtime_checkable
class GivesRanges(Protocol):
    """An engine whose files can be read on from where another reading stopped."""

    def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """The rest of the file, piece by piece; raises OnlyWhole before the first piece."""
        ...


class JobEngine(Protocol):
    """One model behind one engine. Each call takes seconds, and may be made twice: whoever made the first may be dead.

    Raises the branches of PenstockError, of which the retryable ones have the call made again, until the deadline.
    """

    async def start(self, asked: JobAsked) -> str:
        """Has the job begun and returns the engine's own handle of it.

        Raises a PenstockError only where the engine has certainly not taken the job, else UncertainStart.
        """
        ...

    async def find(self, asked: JobAsked) -> str | None:
        """The handle of a job that `start` may have begun; None where the engine has none, or cannot tell.

        Raises PenstockErrors only.
        """
        ...

    async def poll(self, asked: JobAsked, handle: str) -> State: ...

    def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        """The file, piece by piece; every call begins at its beginning."""
        ...

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        """Has the engine stop, if it can and has not ended."""
        ...

    async def close(self) -> None: ...
