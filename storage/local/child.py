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

TAIL_BYTES: Final = 16_384
KILL_S: Final = 5.0
"""How long the system may take to end a process that was killed."""


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
                sys.executable,
                "-S",
                tether.__file__,
                str(os.getpid()),
                *command,
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

    def last_words(self) -> str:
        """The last line that this run wrote to its log, Java's stack frames aside; empty if it wrote none."""
        with self.log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start_bytes, end - TAIL_BYTES))
            lines = [line.strip() for line in log.read().decode(errors="replace").split("\n")]
        return next((line for line in reversed(lines) if line and not line.startswith(("at ", "... "))), "")

    def died(self) -> StartFailed:
        """The failure to raise when it ended instead of getting ready."""
        words = self.last_words() or f"ended with status {self._process.returncode}"
        return StartFailed(f"{self.name} did not start: {words} (log: {self.log})")
