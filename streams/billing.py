"""From messages to charges in the ledger."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol, TypeVar

from schemas.errors import InvalidValue, Undecidable
from storage.ledger import Charge, Ledger
from streams.charge import charge
from streams.events import read_event
from streams.intake import Record
from streams.telemetry import REPEATS, RETRIES, Telemetry

FIRST_PAUSE_S: Final = 0.1
LAST_PAUSE_S: Final = 5.0

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Aside(Protocol):
    """Takes a message that cannot be charged; raises Undecidable when it cannot."""

    async def put(self, record: Record, reason: str) -> None: ...


class Billing:
    """Charges batch after batch, and goes on to none before the last one rests in the database.

    `attempts` grows with every try: a count that stands still while events wait means that something hangs.
    """

    def __init__(self, ledger: Ledger, aside: Aside, telemetry: Telemetry) -> None:
        self._ledger = ledger
        self._aside = aside
        self._telemetry = telemetry
        self.attempts = 0

    async def settle(self, records: Sequence[Record]) -> None:
        """Returns when each record is in the ledger, or among the dead letters, however long a store is away."""
        charges: dict[str, Charge] = {}
        for record in records:
            try:
                charged = charge(read_event(record.value))
            except InvalidValue as refusal:
                await self._set_aside(record, refusal)
            else:
                REPEATS.inc(charged.event.job_id in charges)
                charges.setdefault(charged.event.job_id, charged)
        new = await self._until_done(lambda: self._ledger.take(list(charges.values())))
        REPEATS.inc(len(charges) - len(new))
        self._telemetry.count([charges[job_id] for job_id in new])

    async def _set_aside(self, record: Record, refusal: InvalidValue) -> None:
        reason = refusal.message if refusal.param is None else f"{refusal.param}: {refusal.message}"
        await self._until_done(lambda: self._aside.put(record, reason))

    async def _until_done(self, step: Callable[[], Awaitable[Result]]) -> Result:
        pause_s = FIRST_PAUSE_S
        while True:
            self.attempts += 1
            try:
                return await step()
            except Undecidable as failure:
                RETRIES.inc()
                log.warning("charging_waits", extra={"reason": failure.message, "pause_s": pause_s})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LAST_PAUSE_S)
