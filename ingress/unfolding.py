"""The frames of one background job, read again and again, as the chunks that count."""

from collections.abc import Iterable, Sequence
from typing import Final

from schemas.chunks import Chunk, Ended, Frame

LAST_ATTEMPT: Final = 1_000_000
"""The attempt of a frame that an ingress adds to end a job: later than any that a worker makes."""


class Unfolding:
    """Takes frames in the order they were kept in, some perhaps twice, up to the first end.

    A `stream` was read as it came, so that a later attempt can only end it; anything else starts over.
    """

    def __init__(self, stream: bool) -> None:
        self._stream = stream
        self._attempt = 0
        self._expected = 0
        self.chunks: list[Chunk] = []
        self.ended: Ended | None = None

    @property
    def readable(self) -> int:
        """How many chunks will still stand later."""
        return len(self.chunks) if self._stream or self.ended is not None else 0

    def add(self, frames: Iterable[Frame]) -> None:
        for frame in frames:
            if self.ended is not None or frame.attempt < self._attempt:
                continue
            if frame.attempt > self._attempt:
                self._begin(frame)
            if frame.seq == self._expected:
                self._expected += 1
                self._accept(frame.chunks)

    def _begin(self, frame: Frame) -> None:
        self._attempt, self._expected = frame.attempt, 0
        if not self._stream:
            self.chunks.clear()

    def _accept(self, chunks: Sequence[Chunk]) -> None:
        self.chunks.extend(chunks)
        if chunks and isinstance(last := chunks[-1], Ended):
            self.ended = last
