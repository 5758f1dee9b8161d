"""From this process's one reply channel to the requests that wait."""

import asyncio
import logging
from typing import Final

import msgspec

from ingress.mailbox import Mailbox
from schemas.errors import DeadlineExceeded, PenstockError, StreamCut
from storage.replies import decode_frames

TICK_S: Final = 0.5
GAP_S: Final = 12.0
"""Longer than a worker goes on repeating a publish that nobody heard."""

GRACE_S: Final = 2.0
"""A deadline is the worker's to enforce; only when nothing is heard of it does the ingress."""

log = logging.getLogger(__name__)


class Relay:
    """The open mailboxes of this process.

    A stream is given a sign of life after `ping_s` of silence, and cut when its client reads nothing for `stall_s`.
    """

    def __init__(self, ping_s: float, stall_s: float) -> None:
        self._ping_s = ping_s
        self._stall_s = stall_s
        self._boxes: dict[str, Mailbox] = {}

    def __len__(self) -> int:
        return len(self._boxes)

    def open(self, job_id: str, budget_s: float, *, whole: bool) -> Mailbox:
        box = Mailbox(job_id, asyncio.get_running_loop().time() + budget_s, whole=whole)
        self._boxes[job_id] = box
        return box

    def close(self, job_id: str) -> None:
        self._boxes.pop(job_id, None)

    def heard(self, payload: bytes) -> None:
        """Takes one publish of the reply channel."""
        try:
            frames = decode_frames(payload)
        except msgspec.DecodeError:
            # Raised into the socket's protocol, it would cost the subscription and every stream on it.
            log.exception("reply_unreadable", extra={"size_bytes": len(payload)})
            return
        for frame in frames:
            box = self._boxes.get(frame.job_id)
            if box is not None:
                box.deliver(frame)

    def unended(self) -> list[Mailbox]:
        """The mailboxes that still wait for their end."""
        return [box for box in self._boxes.values() if box.ended is None]

    def fail_all(self, error: PenstockError) -> None:
        """Ends every request that has not ended."""
        for box in list(self._boxes.values()):
            box.fail(error)

    async def tick(self) -> None:
        """Looks after every mailbox each TICK_S, for ever: no request waits without an end or a sign of life."""
        while True:
            await asyncio.sleep(TICK_S)
            now = asyncio.get_running_loop().time()
            for box in list(self._boxes.values()):
                look_after(box, now, self._ping_s, self._stall_s)


def look_after(box: Mailbox, now: float, ping_s: float, stall_s: float) -> None:
    if box.ended is None:
        if now > box.deadline + GRACE_S:
            box.fail(DeadlineExceeded("The request's deadline passed before there was an answer."), "expired")
        elif box.gap_s(now) > GAP_S:
            box.fail(StreamCut("A part of the answer was lost on its way."))
    if box.stalled_s(now) > stall_s:
        box.cut()
    elif box.silent_s(now) > ping_s:
        box.wake()
