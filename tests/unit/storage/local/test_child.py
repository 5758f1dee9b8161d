"""A child ends when told, is ended when it will not, and does not outlive who started it."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from storage.local.child import Child
from storage.local.failure import StartFailed
from tests.waiting import eventually, until

STUBBORN = """
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""

PARENT = """
import asyncio, pathlib, sys
from storage.local.child import Child

async def main():
    child = await Child.spawn("sleeper", ["sleep", "600"], pathlib.Path(sys.argv[1]))
    print(child.pid, flush=True)
    await child.wait()

asyncio.run(main())
"""


async def spawn(script: str, log: Path, **env: str) -> Child:
    return await Child.spawn("script", [sys.executable, "-c", textwrap.dedent(script)], log, env=env)


async def test_a_child_that_listens_ends_by_itself(tmp_path: Path) -> None:
    child = await Child.spawn("sleeper", ["sleep", "600"], tmp_path / "log")
    await child.stop(grace_s=10)
    assert await child.wait() == -signal.SIGTERM


async def test_a_child_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    child = await spawn(STUBBORN, tmp_path / "log")
    await eventually(lambda: "deaf" in (tmp_path / "log").read_text())
    await child.stop(grace_s=0.1)
    assert await child.wait() == -signal.SIGKILL


async def test_a_child_has_our_environment_and_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS", "one")
    child = await spawn("import os; print(os.environ['OURS'], os.environ['ITS'])", tmp_path / "log", ITS="two")
    assert await child.wait() == 0
    assert (tmp_path / "log").read_text() == "one two\n"


async def test_only_the_words_of_this_run_are_its_last(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("what an earlier run said\n")
    child = await spawn("import sys; sys.exit(3)", log)
    await child.wait()
    assert str(child.died()) == f"script did not start: ended with status 3 (log: {log})"
    assert isinstance(child.died(), StartFailed)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_child_does_not_outlive_a_parent_that_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        # First it is the tether, which becomes the program.
        until(lambda: "sleep" in Path(f"/proc/{pid}/comm").read_text())
        parent.kill()
    until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    """Whether it does more than wait for whoever inherited it to take note of its end."""
    try:
        os.kill(pid, 0)
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False
