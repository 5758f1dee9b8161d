"""Waits for what another process does, which sets no event here."""

import asyncio
import time
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 0.01


def until(condition: Callable[[], object], within_s: float = 10) -> None:
    """Returns as soon as `condition` is true; raises TimeoutError."""
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError
        time.sleep(LOOK_S)


async def eventually(condition: Callable[[], object], within_s: float = 10) -> None:
    """`until` for a test whose own event loop has work to do meanwhile."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - another process's state sets no event here
            await asyncio.sleep(LOOK_S)
