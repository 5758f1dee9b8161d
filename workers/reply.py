"""An attempt's frames on their way to the client that waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from schemas.chunks import AnsweredBy, Chunk, Delta, Ended, Frame, ReasoningDelta, RefusalDelta, TextDelta, UsageReport
from schemas.jobs import Job
from schemas.media_chunks import Audio, Picture, Vectors
from storage.replies import ENCODER

WHOLE_REPLY_PART_SIZE: Final = 100_000
"""A reply that nobody reads as it comes is sent in parts of this size, far below what one publish may carry."""


class Posts(Protocol):
    """What takes frames on their way to a channel."""

    def post(self, channel: str, frame: Frame) -> None: ...

    async def room(self, channel: str, /) -> None: ...


@dataclass(slots=True)
class _Run:
    """One choice's neighbouring pieces of one kind."""

    kind: type[TextDelta | ReasoningDelta | RefusalDelta]
    pieces: list[str]


class Reply:
    """Numbers the frames of one attempt.

    A stream's deltas leave as they come; those of a whole reply are gathered, a choice's neighbours joined, and leave
    with the end: there the choices' order among themselves is lost, and that within each is kept.
    """

    def __init__(self, outboxes: Posts, job: Job, attempt: int) -> None:
        self._outboxes = outboxes
        self._job = job
        self._attempt = attempt
        self._seq = 0
        self._gathered: list[Chunk] = []
        self._runs: dict[int, _Run] = {}
        self._size = 0
        self._before: tuple[Chunk, ...] = ()

    def answered_by(self, model: str) -> None:
        """Says, before anything else, that another model than the one that was asked gives the answer."""
        self._before = (AnsweredBy(model),)

    def add(self, batch: Sequence[Delta], engine_ms: float) -> None:
        if self._job.stream:
            chunks = [delta for delta in batch if not isinstance(delta, UsageReport)]
            if chunks:
                self._post(chunks, engine_ms)
            return
        for delta in batch:
            self._gather(delta)
        if self._size > WHOLE_REPLY_PART_SIZE:
            self._post_gathered(engine_ms)

    async def room(self) -> None:
        """Returns when little of what was added waits: an engine is read no faster than it is passed on."""
        await self._outboxes.room(self._job.reply_to)

    def end(self, ended: Ended, engine_ms: float) -> None:
        """Posts what is left and the last chunk; of a failed whole reply, the last chunk only."""
        if ended.error is not None:
            self._gathered, self._runs = [], {}
        for choice in list(self._runs):
            self._close(choice)
        self._gathered.append(ended)
        self._post_gathered(engine_ms)

    async def delivered(self) -> None:
        """Returns when the end may be settled; at once where a client waits. Raises Undecidable."""

    def _gather(self, delta: Delta) -> None:
        match delta:
            case UsageReport():
                return
            case TextDelta(logprobs=None) | ReasoningDelta() | RefusalDelta():
                run = self._runs.get(delta.choice)
                if run is None or run.kind is not type(delta):
                    self._close(delta.choice)
                    run = self._runs[delta.choice] = _Run(type(delta), [])
                run.pieces.append(delta.text)
                self._size += len(delta.text)
            case Vectors() | Picture() | Audio():
                self._gathered.append(delta)
                self._size += len(ENCODER.encode(delta))
            case _:
                self._close(delta.choice)
                self._gathered.append(delta)
                self._size += len(ENCODER.encode(delta))

    def _close(self, choice: int) -> None:
        run = self._runs.pop(choice, None)
        if run is not None:
            self._gathered.append(run.kind("".join(run.pieces), choice))

    def _post_gathered(self, engine_ms: float) -> None:
        for choice in list(self._runs):
            self._close(choice)
        chunks, self._gathered, self._size = self._gathered, [], 0
        self._post(chunks, engine_ms)

    def _post(self, chunks: Sequence[Chunk], engine_ms: float) -> None:
        if self._before:
            chunks, self._before = [*self._before, *chunks], ()
        self._outboxes.post(
            self._job.reply_to, Frame(self._job.id, self._attempt, self._seq, chunks, round(engine_ms, 3))
        )
        self._seq += 1
