"""Blocking steps in a thread, which their caller does not leave in the middle."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def to_its_end(step: Callable[[], Result], threads: Executor | None = None) -> Result:
    """What the step returns. A caller that is cancelled hears of it only when the step is done.

    What comes after, closing a file or taking back an upload, then never runs beside it.
    """
    running = asyncio.get_running_loop().run_in_executor(threads, step)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await running
        raise
