"""A part of the platform as a process: `python -m ingress`, `workers` or `streams`."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from storage.local.child import Child
from storage.local.failure import StartFailed
from storage.ready import READY_FD, WORD

READY_S: Final = 60.0
"""Loading a model is part of a worker's start."""

LAST_WORDS_S: Final = 5.0


async def start_part(name: str, command: Sequence[str], log: Path, env: Mapping[str, str]) -> Child:
    """Runs `python COMMAND …` and returns once it has said that it takes work; raises StartFailed."""
    heard, said = os.pipe()
    try:
        child = await Child.spawn(
            name, [sys.executable, "-P", *command], log, env={**env, READY_FD: str(said)}, pass_fds=[said]
        )
    except BaseException:
        os.close(heard)
        raise
    finally:
        os.close(said)
    try:
        await _ready(child, heard)
    except BaseException:
        await child.stop(0)
        raise
    return child


async def _ready(child: Child, descriptor: int) -> None:
    try:
        if await _first_line(descriptor) == WORD:
            return
    except TimeoutError:
        raise StartFailed(f"{child.name} is not ready after {READY_S:.0f} s (log: {child.log})") from None
    # Without a word, so it is ending; its last ones may be a moment behind.
    with suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), LAST_WORDS_S)
    raise child.died()


async def _first_line(descriptor: int) -> bytes:
    """What comes first through a pipe; empty if its writer ends without a word."""
    reader = asyncio.StreamReader()
    pipe = os.fdopen(descriptor, "rb")
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    try:
        async with asyncio.timeout(READY_S):
            return await reader.readline()
    finally:
        transport.close()
