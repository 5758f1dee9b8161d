"""One model of long work at several addresses, as one engine: a job stays where it was begun."""

import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from schemas.catalog import Model
from schemas.errors import EngineFailed, PenstockError
from storage.async_record import RemoteFile
from workers.job_engine import GivesRanges, JobAsked, JobEngine, OnlyWhole, State
from workers.replicas.prefix import score
from workers.replicas.replica import Clock, Replica, result_of
from workers.replicas.replicated import replicas_of

BETWEEN = " "
"""Between an address and a handle of the engine there; a host has none."""


class ReplicatedJobs:
    """Which replica begins a job goes by its id, so that they have equally many, and by which of them are in order; the
    handle then names it. Only beginnings tell of a replica's health: there are no probes.
    """

    def __init__(self, model: str, replicas: Sequence[Replica[JobEngine]]) -> None:
        self._model = model
        self._replicas = replicas

    async def start(self, asked: JobAsked) -> str:
        """The next one is asked where one has certainly not taken the job, and never where it may have."""
        failure: PenstockError | None = None
        for replica in self._in_order(asked):
            try:
                with replica.turn(1.0):
                    return f"{replica.address}{BETWEEN}{await replica.served.start(asked)}"
            except PenstockError as error:
                if result_of(error) == "refused":
                    raise
                failure = failure or error
        assert failure is not None, "there are replicas"
        raise failure

    async def find(self, asked: JobAsked) -> str | None:
        failure: PenstockError | None = None
        for replica in self._in_order(asked):
            try:
                handle = await replica.served.find(asked)
            except PenstockError as error:
                failure = failure or error
            else:
                if handle is not None:
                    return f"{replica.address}{BETWEEN}{handle}"
        if failure is not None:
            raise failure
        return None

    async def poll(self, asked: JobAsked, handle: str) -> State:
        engine, own = self._at(handle)
        return await engine.poll(asked, own)

    def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        engine, own = self._at(handle)
        return engine.open(asked, own, file)

    def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        engine, own = self._at(handle)
        if not isinstance(engine, GivesRanges):
            raise OnlyWhole
        return engine.open_from(asked, own, file, start_bytes)

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        engine, own = self._at(handle)
        await engine.cancel(asked, own)

    async def close(self) -> None:
        for replica in self._replicas:
            await replica.served.close()

    def _in_order(self, asked: JobAsked) -> Iterator[Replica[JobEngine]]:
        number = int.from_bytes(blake2b(asked.id.encode(), digest_size=8).digest())

        def place(replica: Replica[JobEngine]) -> tuple[int, int]:
            return _rank(replica), -score(number, replica.address)

        yield from sorted(self._replicas, key=place)

    def _at(self, handle: str) -> tuple[JobEngine, str]:
        """A handle without an address is one of before there were several."""
        address, several, own = handle.partition(BETWEEN)
        if not several:
            return self._replicas[0].served, handle
        for replica in self._replicas:
            if replica.address == address:
                return replica.served, own
        raise EngineFailed(f"Model '{self._model}' is no longer served where this job was begun. Nothing is charged.")


def _rank(replica: Replica[Any]) -> int:
    """One that is out of order gets the next job that comes once it may be tried: nothing else would ever ask it."""
    if replica.state == "open" and replica.triable:
        return 0
    if replica.ready:
        return 1
    return 2 if replica.state == "closed" else 3


def replicated_jobs(
    model: Model, build: Callable[[Model], JobEngine], *, clock: Clock = time.monotonic
) -> ReplicatedJobs:
    """The engine of a row with several addresses; `build` makes one of a row with one."""
    return ReplicatedJobs(model.id, replicas_of(model, build, clock))
