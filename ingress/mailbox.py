"""Where one request waits for its frames and takes their chunks in order."""

import asyncio
from collections.abc import Sequence
from typing import Final

from schemas.chunks import Chunk, Ended, Finish, Frame
from schemas.errors import Cancelled, PenstockError, StreamCut, WorkerLost
from schemas.media_chunks import Audio
from schemas.usage import UNCOUNTED, End

MOST_CHUNKS_WAITING: Final = 20_000
"""A stream's client this far behind the engine is not reading."""

MOST_SOUND_WAITING_BYTES: Final = 64 * 1024 * 1024
"""As far behind in sound: 20 minutes of the largest format."""

MOST_FRAMES_EARLY: Final = 1_000


class Mailbox:
    """Puts the frames of one job in order and drops what comes twice.

    A later attempt replaces all that has not been taken yet; once something has been taken, an attempt may only end
    the job. After Ended nothing is accepted. A `whole` answer is taken at its end only, so any attempt may give it.
    `heard` says that a worker has sent something, `finished` counts the choices that are complete.
    """

    def __init__(self, job_id: str, deadline: float, *, whole: bool) -> None:
        self.job_id = job_id
        self.deadline = deadline
        self._whole = whole
        self.engine_ms = 0.0
        self.ended: Ended | None = None
        self.ended_by_worker = False
        self.heard = False
        self.finished = 0
        self.stalled = False
        self._loop = asyncio.get_running_loop()
        self._attempt = 0
        self._expected = 0
        self._early: dict[int, Frame] = {}
        self._early_since = 0.0
        self._chunks: list[Chunk] = []
        self._sound_bytes = 0
        self._taken = False
        self._taken_at = self._loop.time()
        self._waiter: asyncio.Future[None] | None = None
        self._gone = False
        self._reader: asyncio.Task[object] | None = None

    def deliver(self, frame: Frame) -> None:
        if self.ended is not None or frame.attempt < self._attempt:
            return
        if frame.attempt > self._attempt:
            self._begin(frame)
        if frame.seq == self._expected:
            self._accept(frame)
            if self._early:
                self._close_gap()
        elif frame.seq > self._expected and len(self._early) < MOST_FRAMES_EARLY:
            if not self._early:
                self._early_since = self._loop.time()
            self._early[frame.seq] = frame

    def fail(self, error: PenstockError, end: End = "failed") -> None:
        """Ends the job from this side, if it has not ended."""
        if self.ended is None:
            self.ended = Ended(end, UNCOUNTED, error.data())
            self._chunks.append(self.ended)
            self.wake()

    def leave(self) -> None:
        """The client is gone: whoever takes gets Cancelled."""
        self._gone = True
        self.wake()

    def cut(self) -> None:
        """The client is there and does not read: whoever is stuck in sending to it is stopped."""
        self.stalled = True
        self.fail(StreamCut("The client stopped reading."))
        if self._reader is not None:
            self._reader.cancel()

    def let_go(self) -> None:
        """Nobody passes on what comes from here on; it may still be waited for with `until_ended`."""
        self._reader = None

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def take(self) -> Sequence[Chunk]:
        """Everything that is there, as soon as there is something; nothing when `wake` asked for a sign of life.

        Raises Cancelled when the client has left.
        """
        self._reader = asyncio.current_task()
        if not self._gone and (not self._chunks or (self._whole and self.ended is None)):
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._gone:
            raise Cancelled("The client left before the end.")
        chunks, self._chunks = self._chunks, []
        self._sound_bytes = 0
        self._taken_at = self._loop.time()
        self._taken = self._taken or bool(chunks)
        return chunks

    async def until_ended(self) -> None:
        """Waits for the end, past whatever comes before it."""
        while self.ended is None:
            self._chunks.clear()
            self._waiter = self._loop.create_future()
            await self._waiter

    def stalled_s(self, now: float) -> float:
        """How long whoever took last has been busy with passing it on; 0 while somebody waits here."""
        return now - self._taken_at if self._reader is not None and self._waiter is None else 0.0

    def silent_s(self, now: float) -> float:
        """How long a stream's client has been waiting for anything."""
        return 0.0 if self._chunks or self._whole else now - self._taken_at

    def gap_s(self, now: float) -> float:
        """How long a frame has been missing between those that came."""
        return now - self._early_since if self._early else 0.0

    def _is_behind(self, frame: Frame) -> bool:
        """Whether more waits now than a client that reads would have left."""
        self._sound_bytes += sum(len(chunk.data) for chunk in frame.chunks if isinstance(chunk, Audio))
        return len(self._chunks) > MOST_CHUNKS_WAITING or self._sound_bytes > MOST_SOUND_WAITING_BYTES

    def _close_gap(self) -> None:
        while (early := self._early.pop(self._expected, None)) is not None:
            self._accept(early)
        # What is missing still, if anything, is another gap.
        self._early_since = self._loop.time()

    def _begin(self, frame: Frame) -> None:
        self._attempt, self._expected, self.finished = frame.attempt, 0, 0
        self._early.clear()
        if not self._taken:
            self._chunks.clear()
        elif not isinstance(frame.chunks[0], Ended):
            self.fail(WorkerLost("The worker was lost while the answer was streamed. Ask again."))

    def _accept(self, frame: Frame) -> None:
        if self.ended is not None:
            return
        self.heard = True
        self._expected += 1
        self.engine_ms = frame.engine_ms
        self._chunks.extend(frame.chunks)
        self.finished += sum(isinstance(chunk, Finish) for chunk in frame.chunks)
        if isinstance(last := frame.chunks[-1], Ended):
            self.ended, self.ended_by_worker = last, True
        elif not self._whole and self._is_behind(frame):
            self.cut()
        if self.ended is not None or not self._whole:
            self.wake()
