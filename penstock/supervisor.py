"""Keeps processes running: what dies is started again, and in the end all stop in their order."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

from penstock.together import together
from storage.local.child import Child
from storage.local.failure import StartFailed

FIRST_DELAY_S: Final = 0.2
LONGEST_DELAY_S: Final = 10.0
HEALTHY_S: Final = 30.0

State = Literal["starting", "running", "restarting", "stopped"]
Tell = Callable[[str], None]


class Stage(IntEnum):
    """The order in which a stack stops: first who takes work in, last who keeps it."""

    DOOR = 0
    WORK = 1
    SERVER = 2


GRACE_S: Final = {Stage.DOOR: 4.0, Stage.WORK: 3.5, Stage.SERVER: 2.0}
"""How long each stage may take to end by itself; together less than 10 s."""


@dataclass(frozen=True)
class Part:
    """`start` returns a child that is ready, or raises StartFailed and leaves none."""

    name: str
    address: str
    stage: Stage
    start: Callable[[], Awaitable[Child]]


@dataclass
class Kept:
    """A part and what has become of it."""

    part: Part
    state: State = "starting"
    restarts: int = 0
    child: Child | None = None
    task: asyncio.Task[None] | None = field(default=None, repr=False)


def restart_delay_s(previous_s: float, healthy_s: float) -> float:
    """How long to wait before the next start, after a run of `healthy_s` that followed a wait of `previous_s`."""
    if healthy_s >= HEALTHY_S or previous_s == 0:
        return FIRST_DELAY_S
    return min(previous_s * 2, LONGEST_DELAY_S)


class Supervisor:
    """`tell` gets one line for each event a person should see; `changed` is called after every change of a state."""

    def __init__(self, tell: Tell, changed: Callable[[], None]) -> None:
        self.pid = os.getpid()
        self.kept: list[Kept] = []
        self._tell = tell
        self._changed = changed

    async def start(self, *parts: Part) -> None:
        """Start all of them at once and keep each from then on; raises the first StartFailed."""
        await together(*[self._start(part) for part in parts])

    async def stop(self) -> None:
        """End every part, stage by stage; what does not end by itself is killed."""
        keeping = [kept.task for kept in self.kept if kept.task]
        for task in keeping:
            task.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
        for stage in Stage:
            going = [kept for kept in self.kept if kept.part.stage is stage and kept.child]
            await asyncio.gather(*[kept.child.stop(GRACE_S[stage]) for kept in going if kept.child])
            for kept in going:
                kept.state, kept.child = "stopped", None
        self._changed()

    async def _start(self, part: Part) -> None:
        kept = Kept(part)
        self.kept.append(kept)
        kept.child = await part.start()
        kept.state = "running"
        kept.task = asyncio.create_task(self._keep(kept, kept.child))
        self._tell(f"{part.name:<14} {part.address}")
        self._changed()

    async def _keep(self, kept: Kept, child: Child) -> None:
        delay_s = 0.0
        while True:
            running_since_s = time.monotonic()
            status = await child.wait()
            delay_s = restart_delay_s(delay_s, time.monotonic() - running_since_s)
            self._tell(f"{kept.part.name} {_fate(status)}; it is started again in {delay_s:.1f} s")
            child, delay_s = await self._restart(kept, delay_s)

    async def _restart(self, kept: Kept, delay_s: float) -> tuple[Child, float]:
        kept.child, kept.state = None, "restarting"
        while True:
            self._changed()
            await asyncio.sleep(delay_s)
            kept.restarts += 1
            try:
                kept.child = await kept.part.start()
            except StartFailed as failure:
                delay_s = restart_delay_s(delay_s, 0)
                self._tell(f"{failure}; the next try is in {delay_s:.1f} s")
            else:
                kept.state = "running"
                self._changed()
                return kept.child, delay_s


def _fate(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
