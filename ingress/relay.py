"""From this process's one reply channel to the requests that wait."""

import asyncio
import logging
from typing import Final

from ingress.mailbox import Mailbox
from schemas.errors import DeadlineExceeded, StreamCut
from storage.replies import decode_frames

TICK_S: Final = 1.0
PING_S: Final = 15.0
GAP_S: Final = 12.0
"""Longer than a worker goes on repeating a publish that nobody heard."""

STALL_S: Final = 60.0
GRACE_S: Final = 2.0
"""A deadline is the worker's to enforce; only when nothing is heard of it does the ingress."""

log = logging.getLogger(__name__)


class Relay:
    """The open mailboxes of this process."""

    def __init__(self) -> None:
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
        for frame in decode_frames(payload):
            box = self._boxes.get(frame.job_id)
            if box is not None:
                box.deliver(frame)

    async def tick(self) -> None:
        """Looks after every mailbox each TICK_S, for ever: no request waits without an end or a sign of life."""
        while True:
            await asyncio.sleep(TICK_S)
            now = asyncio.get_running_loop().time()
            for box in list(self._boxes.values()):
                look_after(box, now)


def look_after(box: Mailbox, now: float) -> None:
    if now > box.deadline + GRACE_S:
        box.fail(DeadlineExceeded("The request's deadline passed before there was an answer."), "expired")
    elif box.gap_s(now) > GAP_S:
        box.fail(StreamCut("A part of the answer was lost on its way."))
    elif box.stalled_s(now) > STALL_S:
        box.cut()
    elif box.silent_s(now) > PING_S:
        box.wake()
