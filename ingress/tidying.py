"""Stored responses find their way to where they rest, and out of it, by whichever ingress process comes first."""

import asyncio
import logging
import time
from typing import Final

from schemas.errors import Undecidable
from storage.responses import ResponseStore

MOVE_S: Final = 1.0
SWEEP_S: Final = 3600.0

log = logging.getLogger(__name__)


async def tidy(store: ResponseStore) -> None:
    """Moves what is no longer new each MOVE_S and sweeps what has expired each SWEEP_S, for ever."""
    swept_at = -SWEEP_S
    while True:
        moved = 0
        try:
            moved = await store.move()
            if time.monotonic() > swept_at + SWEEP_S:
                swept_at = time.monotonic()
                if days := await store.sweep():
                    log.info("responses_expired", extra={"days": days})
        except Undecidable as failure:
            log.debug("tidying_waits", extra={"reason": failure.message})
        except OSError as failure:
            # Nothing is lost: it stays where it is, and is tried again.
            log.warning("responses_not_tidied", extra={"reason": str(failure)})
        await asyncio.sleep(0 if moved else MOVE_S)
