"""Requests that wait for a replica's first word."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from schemas.chunks import Delta
from schemas.errors import EngineUnavailable


class Waiting:
    """Lets them go before their own patience ends, where a host that is gone says no more, not even that."""

    def __init__(self) -> None:
        self._scopes: set[asyncio.Timeout] = set()

    async def first(self, batches: AsyncGenerator[Sequence[Delta], None]) -> Sequence[Delta] | None:
        """The first batch, None where there is none. Raises what they raise, and EngineUnavailable when let go."""
        try:
            async with asyncio.timeout(None) as scope:
                self._scopes.add(scope)
                try:
                    return await anext(batches, None)
                finally:
                    self._scopes.discard(scope)
        except TimeoutError as exc:
            if not scope.expired():
                raise
            raise EngineUnavailable("The engine went out of order before it answered.") from exc

    def let_go(self) -> None:
        now = asyncio.get_running_loop().time()
        # Once each: whoever takes long to go is still there when the next probe fails.
        scopes, self._scopes = self._scopes, set()
        for scope in scopes:
            scope.reschedule(now)
