"""Trying again what a store that is away, or a lane that is full, has kept from being done."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from schemas.errors import Overloaded, Undecidable

FIRST_PAUSE_S: Final = 0.05
LAST_PAUSE_S: Final = 2.0

log = logging.getLogger(__name__)

Done = TypeVar("Done")


async def until_done(step: Callable[[], Awaitable[Done]], patience_s: float = math.inf) -> Done:
    """The step's result. Raises its last Undecidable or Overloaded when patience ends."""
    loop = asyncio.get_running_loop()
    give_up_at, pause_s = loop.time() + patience_s, FIRST_PAUSE_S
    while True:
        try:
            return await step()
        except (Undecidable, Overloaded) as failure:
            if loop.time() + pause_s > give_up_at:
                raise
            log.debug("log_door_waits", extra={"reason": failure.message})
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_PAUSE_S)
