"""What rests for a while finds its way to where it does, and out of it, by whichever ingress process comes first."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final

from schemas.errors import Undecidable
from storage.expiring import ExpiringObjects
from storage.responses import ResponseStore

LOOK_S: Final = 1.0
DAYS_S: Final = 3600.0
"""How often it is seen whether a day of responses has expired."""

log = logging.getLogger(__name__)


async def tidy_responses(store: ResponseStore) -> None:
    """Moves what is no longer new and sweeps what has expired, for ever."""
    swept_at = -DAYS_S
    while True:
        moved = await _done(store.move)
        if time.monotonic() > swept_at + DAYS_S:
            swept_at = time.monotonic()
            if days := await _done(store.sweep):
                log.info("responses_expired", extra={"days": days})
        await asyncio.sleep(0 if moved else LOOK_S)


async def sweep_objects(objects: ExpiringObjects) -> None:
    """Deletes what is due, for ever."""
    while True:
        swept = await _done(objects.sweep)
        await asyncio.sleep(0 if swept else LOOK_S)


async def _done(step: Callable[[], Awaitable[int]]) -> int:
    """How much a step did; nothing where a store is out of reach: what it left stays on its list and is tried again."""
    try:
        return await step()
    except Undecidable as failure:
        log.debug("tidying_waits", extra={"reason": failure.message})
    except OSError as failure:
        log.warning("not_tidied", extra={"reason": str(failure)})
    return 0
