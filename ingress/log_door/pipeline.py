"""Many messages of a topic under way at once, each committed when it is done with."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import Undecidable
from storage.lane_consumer import LaneConsumer, Taken

COMMIT_S: Final = 0.2
FULL_S: Final = 30.0
"""How long a full pipeline waits for room before it tells the group that it lives."""

CUT_OFF_S: Final = 60.0
"""How long a topic may give nothing but errors; a new process may find what this one does not."""

RETRY_S: Final = 1.0
ROOM: Final = 4
"""A full pipeline takes more when a ROOMth of it is free: taking one by one costs more than each is worth."""

log = logging.getLogger(__name__)


class Pipeline:
    """Takes no more messages than `most` at once; `handle` returns when its message need not come again.

    A message that `handle` fails on ends the pipeline, uncommitted: the process cannot answer for it.
    """

    def __init__(
        self,
        consumer: LaneConsumer,
        handle: Callable[[Taken], Awaitable[None]],
        most: int,
        committed: Callable[[dict[int, int]], Awaitable[None]] | None = None,
    ) -> None:
        self._consumer = consumer
        self._handle = handle
        self._most = most
        self._committed = committed
        self._open: set[asyncio.Task[None]] = set()
        self._room = asyncio.Event()
        self._failure: BaseException | None = None

    async def run(self) -> None:
        """Runs until it is cancelled; what is under way goes on, see `drain`."""
        while self._failure is None:
            await self._until_there_is_room()
            for taken in await self._take():
                task = asyncio.create_task(self._handled(taken))
                self._open.add(task)
                task.add_done_callback(self._done)
        raise self._failure

    async def commit(self) -> None:
        """Commits what is done, each COMMIT_S, for ever."""
        while True:
            await asyncio.sleep(COMMIT_S)
            positions = await self._consumer.commit()
            if positions and self._committed is not None:
                await self._committed(positions)

    async def drain(self, timeout_s: float) -> None:
        """Waits for what is under way; what is not done by then is left to be delivered again."""
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take(self) -> list[Taken]:
        """Raises Undecidable once the topic has been cut off for CUT_OFF_S."""
        give_up_at = asyncio.get_running_loop().time() + CUT_OFF_S
        while True:
            try:
                return await self._consumer.take(self._most - len(self._open))
            except Undecidable as failure:
                if asyncio.get_running_loop().time() > give_up_at:
                    raise
                log.warning("log_cut_off", extra={"reason": failure.message})
            await asyncio.sleep(RETRY_S)

    async def _until_there_is_room(self) -> None:
        while len(self._open) >= self._most:
            self._room.clear()
            try:
                async with asyncio.timeout(FULL_S):
                    await self._room.wait()
            except TimeoutError:
                await self._consumer.rest()

    async def _handled(self, taken: Taken) -> None:
        await self._handle(taken)
        self._consumer.done(taken)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.critical("message_unanswered", exc_info=failure)
            self._failure = failure
            self._room.set()
        if len(self._open) <= self._most - self._most // ROOM:
            self._room.set()
