"""Responses that are older than they are kept for are swept away, by whichever ingress process comes first."""

import asyncio
import logging
from typing import Final

from storage.responses import ResponseStore

SWEEP_S: Final = 3600.0

log = logging.getLogger(__name__)


async def expire(store: ResponseStore) -> None:
    """Sweeps each SWEEP_S, for ever; what could not be swept is tried again the next time."""
    while True:
        try:
            days = await store.sweep()
        except OSError as failure:
            log.warning("responses_not_swept", extra={"reason": str(failure)})
        else:
            if days:
                log.info("responses_expired", extra={"days": days})
        await asyncio.sleep(SWEEP_S)
