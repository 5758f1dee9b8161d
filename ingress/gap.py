"""After this process could not hear its reply channel: no request waits for an end that has passed it by."""

import asyncio
from typing import Final

from ingress.mailbox import Mailbox
from ingress.relay import Relay
from schemas.errors import StreamCut, Undecidable
from storage import jobs
from storage.line import Line

REPEATED_S: Final = 1.0
"""By then a worker has published again what nobody heard; what is still missing had been taken for heard."""

RETRY_S: Final = 0.5


class MissedEnds:
    """Fails the requests whose jobs have ended though their last frame did not come.

    A later frame would show that one is missing; after the last there is none.
    """

    def __init__(self, relay: Relay, line: Line) -> None:
        self._relay = relay
        self._line = line
        self._looking: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Looks for them once, in the background; a second gap begins anew."""
        self.close()
        self._looking = asyncio.create_task(self._look(), name="missed-ends")

    def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()

    async def _look(self) -> None:
        await asyncio.sleep(REPEATED_S)
        ended = [box for box in self._relay.unended() if await self._has_ended(box)]
        await asyncio.sleep(REPEATED_S)  # a job that ended just now has its frame on the way
        for box in ended:
            box.fail(StreamCut("The end of the answer was lost on its way."))

    async def _has_ended(self, box: Mailbox) -> bool:
        while box.ended is None:
            try:
                return await jobs.has_ended(self._line, box.job_id)
            except Undecidable:
                await asyncio.sleep(RETRY_S)
        return False
