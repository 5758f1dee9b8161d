"""A program that runs to its end while a stack starts, in a process of its own for what it loads."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from storage.local.child import tethered
from storage.local.failure import StartFailed

REFUSED: Final = 2
"""The exit status of a program that has printed, for a person to read, why it did not do its work."""


async def run_step(command: Sequence[str], env: Mapping[str, str]) -> str:
    """What `python COMMAND …` printed; raises StartFailed with its reason, or the last line of its traceback."""
    process = await asyncio.create_subprocess_exec(
        *tethered([sys.executable, "-P", *command]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **env},
        start_new_session=True,
    )
    try:
        printed, complaint = await process.communicate()
    except BaseException:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode == 0:
        return printed.decode()
    if process.returncode == REFUSED:
        raise StartFailed(printed.decode().strip())
    lines = complaint.decode(errors="replace").strip().splitlines()
    raise StartFailed(lines[-1] if lines else f"{command[-1]} ended with status {process.returncode}")
