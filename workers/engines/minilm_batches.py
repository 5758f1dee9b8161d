"""Requests that arrive together are computed together: a queue before one thread."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from schemas.errors import EngineFailed, EngineUnavailable, PenstockError

Ids = Sequence[int]
Compute = Callable[[Sequence[Ids]], Sequence[bytes]]


class _Job:
    """Inputs of which those before `next` have been taken into a batch."""

    def __init__(self, inputs: Sequence[Ids]) -> None:
        self.inputs = inputs
        self.next = 0
        self.done: asyncio.Queue[list[bytes] | PenstockError] = asyncio.Queue()


class Batches:
    """Never waits for more to come: what is there when the model is free, up to `most_tokens`, is the next batch.

    Where more is there, every job gives inputs in turn, so that a large one does not hold up the small ones.
    """

    def __init__(self, name: str, compute: Compute, most_tokens: int) -> None:
        self._name = name
        self._compute = compute
        self._most_tokens = most_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"minilm {name}")
        self._waiting: dict[_Job, None] = {}
        self._open: set[_Job] = set()
        self._working: asyncio.Task[None] | None = None
        self._closed = False

    async def vectors(self, inputs: Sequence[Ids]) -> AsyncGenerator[list[bytes], None]:
        """The vectors of the inputs in their order, as batches come back. Closing this takes back what still waits."""
        if self._closed:
            raise self._gone()
        job = _Job(inputs)
        self._open.add(job)
        self._waiting[job] = None
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="minilm-batches")
        left = len(inputs)
        try:
            while left:
                found = await job.done.get()
                if isinstance(found, PenstockError):
                    raise found
                left -= len(found)
                yield found
        finally:
            self._open.discard(job)
            self._waiting.pop(job, None)

    async def close(self) -> None:
        """Ends what is open with an error, and returns when the thread is done."""
        self._closed = True
        for job in self._open:
            job.done.put_nowait(self._gone())
        self._waiting.clear()
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        await asyncio.to_thread(self._thread.shutdown)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                batch = self._next()
                inputs = [each for _, each in batch]
                try:
                    vectors = await loop.run_in_executor(self._thread, self._compute, inputs)
                except Exception as failure:
                    self._fail({job for job, _ in batch}, failure)
                else:
                    _hand_out(batch, vectors)
        finally:
            self._working = None

    def _next(self) -> list[tuple[_Job, Ids]]:
        """One input at least; each job's in their order."""
        batch: list[tuple[_Job, Ids]] = []
        turns = deque(self._waiting)
        tokens = 0
        while turns:
            job = turns.popleft()
            each = job.inputs[job.next]
            tokens += len(each)
            if batch and tokens > self._most_tokens:
                break
            batch.append((job, each))
            job.next += 1
            if job.next < len(job.inputs):
                turns.append(job)
            else:
                del self._waiting[job]
        return batch

    def _gone(self) -> EngineUnavailable:
        return EngineUnavailable(f"The engine of model '{self._name}' was closed.")

    def _fail(self, jobs: set[_Job], failure: Exception) -> None:
        for job in jobs:
            self._waiting.pop(job, None)
            error = EngineFailed(f"The engine of model '{self._name}' failed while it computed.")
            error.__cause__ = failure
            job.done.put_nowait(error)


def _hand_out(batch: Sequence[tuple[_Job, Ids]], vectors: Sequence[bytes]) -> None:
    found: dict[_Job, list[bytes]] = {}
    for (job, _), vector in zip(batch, vectors, strict=True):
        found.setdefault(job, []).append(vector)
    for job, own in found.items():
        job.done.put_nowait(own)
