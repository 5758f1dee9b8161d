"""What dies is started again, later and later; what stops, stops in its order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from penstock.part import start_part
from penstock.supervisor import Part, Stage, Supervisor, restart_delay_s
from storage.local.failure import StartFailed
from tests.waiting import eventually

WORKS = """
import os, signal, sys
from storage.ready import notify_ready
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], "a").write(sys.argv[2] + "\\n"), sys.exit(0)))
notify_ready()
signal.pause()
"""

FAILS = """
print("something before")
raise SystemExit("the reason")
"""


class Watched:
    """A supervisor whose lines can be read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.supervisor = Supervisor(self.lines.append, lambda: None)

    def part(self, name: str, script: str = WORKS, stage: Stage = Stage.WORK) -> Part:
        command = ["-c", script, str(self.folder / "stopped"), name]
        return Part(name, f"at {name}", stage, partial(start_part, name, command, self.folder / f"{name}.log", {}))

    def pid(self, name: str) -> int | None:
        return next((k.child.pid for k in self.supervisor.kept if k.part.name == name and k.child), None)

    def restarts(self, name: str) -> int:
        return next(k.restarts for k in self.supervisor.kept if k.part.name == name)


@asynccontextmanager
async def watched(folder: Path) -> AsyncIterator[Watched]:
    watching = Watched(folder)
    try:
        yield watching
    finally:
        await watching.supervisor.stop()


@pytest.mark.parametrize(
    ("previous_s", "healthy_s", "delay_s"),
    [
        (0, 0, 0.2),  # the first death
        (0.2, 1, 0.4),  # the next ones, soon after
        (0.4, 29.9, 0.8),
        (6.4, 1, 10.0),  # never longer
        (10.0, 1, 10.0),
        (10.0, 30, 0.2),  # it had been well in between
    ],
)
def test_restart_delay(previous_s: float, healthy_s: float, delay_s: float) -> None:
    assert restart_delay_s(previous_s, healthy_s) == pytest.approx(delay_s)


async def test_parts_are_ready_when_start_returns(tmp_path: Path) -> None:
    async with watched(tmp_path) as on:
        await on.supervisor.start(on.part("one"), on.part("two"))
        assert sorted(on.lines) == ["one            at one", "two            at two"]
        assert on.pid("one") != on.pid("two")


async def test_a_part_that_is_killed_is_started_again_and_one_line_says_so(tmp_path: Path) -> None:
    async with watched(tmp_path) as on:
        await on.supervisor.start(on.part("one"))
        first = on.pid("one")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: on.pid("one") not in (None, first))
        assert on.lines[1:] == ["one was killed by SIGKILL; it is started again in 0.2 s"]
        assert on.restarts("one") == 1


async def test_a_part_that_fails_to_come_back_is_tried_again(tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text(WORKS)
    script = "import pathlib, sys; exec(pathlib.Path(sys.argv[1]).with_name('good').read_text())"
    async with watched(tmp_path) as on:
        await on.supervisor.start(on.part("one", script))
        first = on.pid("one")
        assert first is not None
        good.write_text(FAILS)
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: on.restarts("one") == 1 and len(on.lines) == 3)
        assert on.lines[2].startswith("one did not start: the reason (log: ")
        good.write_text(WORKS)
        await eventually(lambda: on.pid("one") is not None)
        assert on.restarts("one") == 2


async def test_a_part_that_does_not_start_says_why(tmp_path: Path) -> None:
    async with watched(tmp_path) as on:
        with pytest.raises(StartFailed, match=r"^bad did not start: the reason \(log: .*bad\.log\)$"):
            await on.supervisor.start(on.part("good"), on.part("bad", FAILS))


async def test_a_stop_ends_the_door_before_the_work_before_the_servers(tmp_path: Path) -> None:
    async with watched(tmp_path) as on:
        await on.supervisor.start(on.part("server", stage=Stage.SERVER))
        await on.supervisor.start(on.part("door", stage=Stage.DOOR), on.part("work", stage=Stage.WORK))
        pids = [on.pid(name) for name in ("server", "door", "work")]
        await on.supervisor.stop()
    assert (tmp_path / "stopped").read_text().split() == ["door", "work", "server"]
    assert not any(_runs(pid) for pid in pids)


async def test_a_stop_while_a_part_starts_leaves_nothing(tmp_path: Path) -> None:
    script = f"import os, signal; open({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}} '); signal.pause()"
    async with watched(tmp_path) as on:
        starting = asyncio.create_task(on.supervisor.start(on.part("slow", script)))
        await eventually(_written(tmp_path / "pid"))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert not _runs(int((tmp_path / "pid").read_text()))


def _written(path: Path) -> Callable[[], bool]:
    return lambda: path.exists() and path.read_text().endswith(" ")


def _runs(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
