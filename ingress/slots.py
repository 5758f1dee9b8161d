"""The slots that this process's open requests hold, renewed together: those of a process that died are soon free."""

import asyncio
import logging
from typing import Final

from schemas.errors import Undecidable
from storage.limits import LimitStore, Scope

RENEWALS_A_LEASE: Final = 3
"""Two may be lost before a slot is."""

log = logging.getLogger(__name__)


class Slots:
    """What a request is told of here costs it nothing: once in a while all of them are renewed in one round trip.

    Where Redis is away for longer than a lease, slots are lost: their requests count no more, but go on.
    """

    def __init__(self, limits: LimitStore, lease_s: float) -> None:
        self._limits = limits
        self._held: dict[str, tuple[Scope, ...]] = {}
        self.lease_ms = int(lease_s * 1000)

    def hold(self, lease: str, scopes: tuple[Scope, ...]) -> None:
        """Has a lease that was reserved for `lease_ms` renewed until it is let go."""
        self._held[lease] = scopes

    def let_go(self, lease: str) -> None:
        self._held.pop(lease, None)

    async def keep(self) -> None:
        """Renews for ever."""
        while True:
            await asyncio.sleep(self.lease_ms / 1000 / RENEWALS_A_LEASE)
            try:
                await self._limits.renew(self._held, self.lease_ms)
            except Undecidable as failure:
                log.debug("slots_not_renewed", extra={"reason": failure.message})
