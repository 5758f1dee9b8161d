"""An attempt's frames on their way to the client that waits."""

from collections.abc import Sequence
from typing import Final

from schemas.chunks import Chunk, Delta, Ended, Frame, TextDelta, UsageReport
from schemas.jobs import Job
from storage.replies import Outboxes

WHOLE_REPLY_PART_CHARS: Final = 100_000
"""A reply that nobody reads as it comes is sent in parts of this size, far below what one publish may carry."""


class Reply:
    """Numbers the frames of one attempt.

    A stream's deltas leave as they come; those of a whole reply are gathered, neighbours joined, and leave with the
    end.
    """

    def __init__(self, outboxes: Outboxes, job: Job, attempt: int) -> None:
        self._outboxes = outboxes
        self._job = job
        self._attempt = attempt
        self._seq = 0
        self._gathered: list[Chunk] = []
        self._text: list[str] = []
        self._text_choice = 0
        self._chars = 0

    def add(self, batch: Sequence[Delta], engine_ms: float) -> None:
        if self._job.stream:
            chunks = [delta for delta in batch if not isinstance(delta, UsageReport)]
            if chunks:
                self._post(chunks, engine_ms)
            return
        for delta in batch:
            self._gather(delta)
        if self._chars > WHOLE_REPLY_PART_CHARS:
            self._post_gathered(engine_ms)

    def end(self, ended: Ended, engine_ms: float) -> None:
        """Posts what is left and the last chunk; of a failed whole reply, the last chunk only."""
        if ended.error is not None:
            self._gathered, self._text = [], []
        self._close_text()
        self._gathered.append(ended)
        self._post_gathered(engine_ms)

    def _gather(self, delta: Delta) -> None:
        match delta:
            case UsageReport():
                return
            case TextDelta(logprobs=None):
                if delta.choice != self._text_choice:
                    self._close_text()
                self._text_choice = delta.choice
                self._text.append(delta.text)
                self._chars += len(delta.text)
            case _:
                self._close_text()
                self._gathered.append(delta)
                self._chars += len(delta.text) * 50 if isinstance(delta, TextDelta) else 0

    def _close_text(self) -> None:
        if self._text:
            self._gathered.append(TextDelta("".join(self._text), self._text_choice))
            self._text = []

    def _post_gathered(self, engine_ms: float) -> None:
        self._close_text()
        chunks, self._gathered, self._chars = self._gathered, [], 0
        self._post(chunks, engine_ms)

    def _post(self, chunks: Sequence[Chunk], engine_ms: float) -> None:
        self._outboxes.post(
            self._job.reply_to, Frame(self._job.id, self._attempt, self._seq, chunks, round(engine_ms, 3))
        )
        self._seq += 1
