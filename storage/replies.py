"""The way back: frames from a worker to the ingress process that waits for them.

A publish that reached nobody is repeated until somebody is there or PATIENCE_S have passed, so a restart of Redis
or a resubscribing ingress costs a pause and no chunk. An ingress may therefore see a frame twice or late; `seq`
tells.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final

import hiredis
import msgspec

from schemas.chunks import Frame
from schemas.errors import PenstockError
from storage.line import Line
from storage.redis_wire import Reply

PUBLISH_LIMIT_BYTES: Final = 512 * 1024
"""Redis cuts a subscriber whose buffer passes 8 MB for 60 s or 32 MB at once; this stays far below."""

BACKLOG_LIMIT_BYTES: Final = 16 * 1024 * 1024
PATIENCE_S: Final = 10.0
REPEAT_S: Final = 0.1

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(list[Frame])

log = logging.getLogger(__name__)


def reply_channel(ingress_id: str) -> str:
    return f"penstock:replies:{ingress_id}"


def decode_frames(payload: bytes) -> list[Frame]:
    """The frames of one publish, in order."""
    return DECODER.decode(payload)


class Outbox:
    """Frames on their way to one reply channel, in order.

    All that is posted in one turn of the event loop leaves in one publish, and no publish waits for the one before.
    """

    def __init__(self, line: Line, channel: str, on_gone: Callable[[str], None]) -> None:
        self._line = line
        self._channel = channel
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._ready: list[Frame] = []
        self._unheard: deque[bytes] = deque()
        self._unheard_bytes = 0
        self._repeating: asyncio.Task[None] | None = None
        self.used_at = self._loop.time()

    @property
    def idle(self) -> bool:
        return not (self._ready or self._unheard)

    def post(self, frame: Frame) -> None:
        if not self._ready:
            self._loop.call_soon(self._flush)
        self._ready.append(frame)

    def close(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()

    def _flush(self) -> None:
        frames, self._ready = self._ready, []
        self.used_at = self._loop.time()
        for payload in _payloads(frames):
            self._unheard.append(payload)
            self._unheard_bytes += len(payload)
            if self._repeating is None:
                self._publish(payload)
        if self._unheard_bytes > BACKLOG_LIMIT_BYTES:
            self._give_up("backlog")

    def _publish(self, payload: bytes) -> None:
        self._line.call("PUBLISH", self._channel, payload).add_done_callback(self._published)

    def _published(self, publish: asyncio.Future[Reply]) -> None:
        if publish.cancelled() or self._repeating is not None:
            return
        if publish.exception() is None and publish.result() > 0:
            self._heard()
        elif self._unheard:
            self._repeating = self._loop.create_task(self._repeat())

    def _heard(self) -> None:
        if self._unheard:
            self._unheard_bytes -= len(self._unheard.popleft())

    async def _repeat(self) -> None:
        """Publishes what was not heard again, one by one, until nothing is left or patience ends."""
        deadline = self._loop.time() + PATIENCE_S
        while self._unheard:
            try:
                receivers = await self._line.call("PUBLISH", self._channel, self._unheard[0])
            except (PenstockError, hiredis.ReplyError):
                receivers = 0
            if receivers:
                self._heard()
            elif self._loop.time() > deadline:
                self._give_up("nobody listens")
            else:
                await asyncio.sleep(REPEAT_S)
        self._repeating = None

    def _give_up(self, reason: str) -> None:
        log.warning("reply_channel_gone", extra={"channel": self._channel, "reason": reason})
        self._unheard.clear()
        self._unheard_bytes = 0
        self._on_gone(self._channel)


class Outboxes:
    """One outbox for each reply channel in use; `on_gone` is told when nobody listens to a channel any more."""

    def __init__(self, line: Line, on_gone: Callable[[str], None]) -> None:
        self._line = line
        self._on_gone = on_gone
        self._boxes: dict[str, Outbox] = {}

    def post(self, channel: str, frame: Frame) -> None:
        box = self._boxes.get(channel)
        if box is None:
            box = self._boxes[channel] = Outbox(self._line, channel, self._on_gone)
        box.post(frame)

    def sweep(self, unused_s: float) -> None:
        """Forgets the outboxes of ingress processes not written to for a while."""
        now = asyncio.get_running_loop().time()
        for channel in [c for c, box in self._boxes.items() if box.idle and now - box.used_at > unused_s]:
            self._boxes.pop(channel).close()

    async def drain(self, timeout_s: float) -> None:
        """Returns when everything posted has been heard, or after `timeout_s`."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while any(not box.idle for box in self._boxes.values()) and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        for box in self._boxes.values():
            box.close()


def _payloads(frames: list[Frame]) -> list[bytes]:
    payload = ENCODER.encode(frames)
    if len(payload) <= PUBLISH_LIMIT_BYTES or len(frames) == 1:
        return [payload]
    half = len(frames) // 2
    return _payloads(frames[:half]) + _payloads(frames[half:])
