"""A process that is ours: it starts tethered, writes to its own log, and ends when told."""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from storage.local import tether
from storage.local.failure import StartFailed
from storage.local.last_words import last_words

KILL_S: Final = 5.0
"""How long the system may take to end a process that was killed."""


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` so that it is told to stop when this process dies."""
    return [sys.executable, "-S", tether.__file__, str(os.getpid()), *command]


class Child:
    """One run of a program; a new run is a new Child."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path, log_start_bytes: int) -> None:
        self.name = name
        self.log = log
        self.pid = process.pid
        self._process = process
        self._log_start_bytes = log_start_bytes

    @classmethod
    async def spawn(
        cls,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> "Child":
        """Start `command` with `env` over our own environment; it has a session of its own, so Ctrl-C is ours alone.

        The thread that calls must live as long as the child may: the tether is to the thread.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *tethered(command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                pass_fds=pass_fds,
                start_new_session=True,
            )
            return cls(name, process, log, output.tell())

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        """Its exit status, negative for a signal, once it has ended."""
        return await self._process.wait()

    async def stop(self, grace_s: float) -> None:
        """Ask it to end, and after `grace_s` end it."""
        for ask, wait_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, KILL_S)):
            with suppress(ProcessLookupError):
                self._process.send_signal(ask)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), wait_s)
                return
        raise StartFailed(f"{self.name} (pid {self.pid}) does not end")

    def died(self) -> StartFailed:
        """The failure to raise when it ended instead of getting ready."""
        words = last_words(self.log, self._log_start_bytes) or f"ended with status {self._process.returncode}"
        return StartFailed(f"{self.name} did not start: {words} (log: {self.log})")
