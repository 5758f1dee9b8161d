"""Stacks that run behind a terminal's back: starting one, and stopping one by its data folder."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from penstock.options import StackOptions
from penstock.run_file import Run, is_claimed, read_run
from storage.local.failure import StartFailed
from storage.ready import READY_FD, WORD

COMPLAINT: Final = "penstock: "
"""How the line begins that says why a start failed."""

STOP_S: Final = 12.0
LOOK_S: Final = 0.05


def start_detached(options: StackOptions) -> Run:
    """Run `penstock up` in the background; returns when the stack is ready, or raises StartFailed."""
    log = options.logs / "up.log"
    heard, said = os.pipe()
    with log.open("wb") as output, os.fdopen(heard, "rb") as listener:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "penstock", "up", "--background", *options.arguments()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, READY_FD: str(said)},
            pass_fds=[said],
            start_new_session=True,
        )
        os.close(said)
        try:
            word = listener.readline()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    run = read_run(options.data) if word == WORD else None
    if run is None:
        status = process.wait()
        _, _, reason = log.read_text(errors="replace").rpartition(COMPLAINT)
        raise StartFailed(reason.strip() or f"the stack ended with status {status} (log: {log})")
    return run


def stop_running(data: Path) -> bool:
    """Stop the stack of this folder, if one runs, and return when it has; raises StartFailed if it will not stop."""
    # Who has just claimed the folder has not yet said who that is.
    while (run := read_run(data)) is None and is_claimed(data):
        time.sleep(LOOK_S)
    if run is None:
        return False
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(run.pid, number)
        if _ended(data, run.pid):
            return True
    raise StartFailed(f"the stack in {data} does not stop")


def _ended(data: Path, pid: int) -> bool:
    until_s = time.monotonic() + STOP_S
    while time.monotonic() < until_s:
        if not is_claimed(data) and not _runs(pid):
            return True
        time.sleep(LOOK_S)
    return False


def _runs(pid: int) -> bool:
    """Whether the process does more than wait for its parent to take note of its end."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
