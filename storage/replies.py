"""The way back: frames from a worker to the ingress process that waits for them.

A publish that reached nobody is repeated until somebody is there or PATIENCE_S have passed, so a restart of Redis
or a resubscribing ingress costs a pause. An ingress may therefore see a frame twice or late; `seq` tells. What Redis
had taken for a subscriber whose connection then broke is lost: at most once is all that pub/sub promises.
What no client waits for is not published but kept: `storage/background.py`.
"""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final

import hiredis
import msgspec

from schemas.chunks import Ended, Frame
from schemas.errors import PenstockError
from storage.background import APPEND, DUE, PREFIX
from storage.line import Line
from storage.redis_wire import Reply

PUBLISH_LIMIT_BYTES: Final = 512 * 1024
"""Redis cuts a subscriber whose buffer passes 8 MB for 60 s or 32 MB at once; this stays far below."""

BACKLOG_LIMIT_BYTES: Final = 16 * 1024 * 1024
ROOM_BYTES: Final = 1024 * 1024
"""While more is unheard, engines are not read: one job's megabytes must not cost the others their channel."""

PACE_BYTES_PER_S: Final = 16 * 1024 * 1024
"""Of one worker on one channel. Redis says what it has taken, not what the ingress has read of it, and cuts one that is
32 MB behind; text is thousands of times slower than this."""

PATIENCE_S: Final = 10.0
REPEAT_S: Final = 0.1

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(list[Frame])

log = logging.getLogger(__name__)


CHANNEL_PREFIX: Final = "penstock:replies:"


def reply_channel(ingress_id: str) -> str:
    return CHANNEL_PREFIX + ingress_id


def is_reply_channel(channel: str) -> bool:
    """Whether an ingress process listens there, whose client waits with an open request."""
    return channel.startswith(CHANNEL_PREFIX)


def decode_frames(payload: bytes) -> list[Frame]:
    """The frames of one publish, in order."""
    return DECODER.decode(payload)


class Outbox:
    """Frames on their way to one reply channel, in order.

    All that is posted in one turn of the event loop leaves in one publish, and no publish waits for the one before.
    A frame that cannot be encoded fails in `post`, alone.
    """

    def __init__(self, line: Line, channel: str, on_gone: Callable[[str], None]) -> None:
        self._line = line
        self._channel = channel
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._ready: list[bytes] = []
        self._unheard: deque[bytes] = deque()
        self._unheard_bytes = 0
        self._repeating: asyncio.Task[None] | None = None
        self._empty = asyncio.Event()
        self._roomy = asyncio.Event()
        self._paced_until = 0.0
        self.used_at = self._loop.time()

    @property
    def patience_s(self) -> float:
        return PATIENCE_S

    @property
    def idle(self) -> bool:
        return not (self._ready or self._unheard)

    def post(self, frame: Frame) -> None:
        encoded = ENCODER.encode(frame)
        self._empty.clear()
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(encoded)

    async def room(self) -> None:
        """Returns when less than ROOM_BYTES is unheard, or what was has been given up, and the pace is kept."""
        while self._unheard_bytes > ROOM_BYTES:
            self._roomy.clear()
            await self._roomy.wait()
        ahead_s = self._paced_until - self._loop.time()
        if ahead_s > ROOM_BYTES / PACE_BYTES_PER_S:
            await asyncio.sleep(ahead_s)

    async def drained(self) -> None:
        """Returns when everything posted has been heard or given up."""
        if not self.idle:
            await self._empty.wait()

    async def close(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()
            await asyncio.gather(self._repeating, return_exceptions=True)

    def _flush(self) -> None:
        frames, self._ready = self._ready, []
        self.used_at = self._loop.time()
        for payload in _payloads(frames):
            self._unheard.append(payload)
            self._unheard_bytes += len(payload)
            self._paced_until = max(self.used_at, self._paced_until) + len(payload) / PACE_BYTES_PER_S
            if self._repeating is None:
                self._publish(payload)
        if self._unheard_bytes > BACKLOG_LIMIT_BYTES:
            self._give_up("backlog")

    def _publish(self, payload: bytes) -> None:
        published = self._send(payload)
        published.add_done_callback(lambda done: self._published(payload, done))

    def _send(self, payload: bytes) -> asyncio.Future[Reply]:
        """The reply says how many heard it."""
        return self._line.call("PUBLISH", self._channel, payload)

    def _published(self, payload: bytes, publish: asyncio.Future[Reply]) -> None:
        heard = not publish.cancelled() and publish.exception() is None and publish.result() > 0
        # What is being repeated is told by its repetition; what was given up is no longer waited for.
        if self._repeating is not None or not self._unheard or self._unheard[0] is not payload:
            return
        if heard:
            self._heard()
        else:
            self._repeating = self._loop.create_task(self._repeat())

    def _heard(self) -> None:
        self._unheard_bytes -= len(self._unheard.popleft())
        if self._unheard_bytes <= ROOM_BYTES:
            self._roomy.set()
        if self.idle:
            self._empty.set()

    async def _repeat(self) -> None:
        """Publishes what was not heard again, one by one, until nothing is left or patience ends."""
        deadline = self._loop.time() + self.patience_s
        while self._unheard:
            payload = self._unheard[0]
            try:
                receivers = await self._send(payload)
            except (PenstockError, hiredis.ReplyError):
                receivers = 0
            if not self._unheard or self._unheard[0] is not payload:
                continue  # given up meanwhile
            if receivers:
                self._heard()
                deadline = self._loop.time() + self.patience_s
            elif self._loop.time() > deadline:
                self._give_up("nobody listens")
            else:
                await asyncio.sleep(REPEAT_S)
        self._repeating = None

    def _give_up(self, reason: str) -> None:
        log.warning("reply_channel_gone", extra={"channel": self._channel, "reason": reason})
        self._unheard.clear()
        self._unheard_bytes = 0
        self._roomy.set()
        if self.idle:
            self._empty.set()
        self._on_gone(self._channel)


class KeptOutbox(Outbox):
    """Frames of one background job, which are kept where any ingress can read them; nobody has to be there."""

    def __init__(self, line: Line, channel: str, on_gone: Callable[[str], None]) -> None:
        super().__init__(line, channel, on_gone)
        self._ended = False

    @property
    def patience_s(self) -> float:
        return math.inf

    def post(self, frame: Frame) -> None:
        super().post(frame)
        # From here on each payload is looked into: one that came before the end may go out, again, after this.
        self._ended = self._ended or isinstance(frame.chunks[-1], Ended)

    def _send(self, payload: bytes) -> asyncio.Future[Reply]:
        ends = self._ended and _ends(payload)
        return self._line.call("EVAL", APPEND.source, 2, self._channel, DUE, payload, int(ends))


class Outboxes:
    """One outbox for each reply channel in use; `on_gone` is told when nobody listens to a channel any more."""

    def __init__(self, line: Line, on_gone: Callable[[str], None]) -> None:
        self._line = line
        self._on_gone = on_gone
        self._boxes: dict[str, Outbox] = {}

    def post(self, channel: str, frame: Frame) -> None:
        box = self._boxes.get(channel)
        if box is None:
            kind = KeptOutbox if channel.startswith(PREFIX) else Outbox
            box = self._boxes[channel] = kind(self._line, channel, self._on_gone)
        box.post(frame)

    async def room(self, channel: str) -> None:
        """Returns when this channel has room for more."""
        if (box := self._boxes.get(channel)) is not None:
            await box.room()

    def sweep(self, unused_s: float) -> None:
        """Forgets the outboxes of ingress processes not written to for a while."""
        now = asyncio.get_running_loop().time()
        for channel in [c for c, box in self._boxes.items() if box.idle and now - box.used_at > unused_s]:
            del self._boxes[channel]

    async def drain(self, timeout_s: float) -> None:
        """Returns when everything posted has been heard, or after `timeout_s`; then nothing is repeated any more."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                for box in list(self._boxes.values()):
                    await box.drained()
        for box in list(self._boxes.values()):
            await box.close()


def _ends(payload: bytes) -> bool:
    return isinstance(decode_frames(payload)[-1].chunks[-1], Ended)


def _payloads(frames: list[bytes]) -> Iterator[bytes]:
    """Lists of frames, each below the limit unless it holds only one."""
    batch: list[msgspec.Raw] = []
    size_bytes = 0
    for frame in frames:
        if batch and size_bytes + len(frame) > PUBLISH_LIMIT_BYTES:
            yield ENCODER.encode(batch)
            batch, size_bytes = [], 0
        batch.append(msgspec.Raw(frame))
        size_bytes += len(frame)
    yield ENCODER.encode(batch)
