"""A step's answer is what it printed; its failure is what it said, or how its traceback ends."""

import asyncio
import os
from pathlib import Path

import pytest

from penstock.step import REFUSED, run_step
from storage.local.failure import StartFailed
from tests.waiting import eventually


async def test_what_a_step_prints_is_its_answer() -> None:
    assert await run_step(["-c", "import os; print(os.environ['WORD'])"], {"WORD": "said"}) == "said\n"


async def test_a_step_that_explains_itself_is_quoted_in_full() -> None:
    script = f"import sys; print('noise', file=sys.stderr); print('line 1\\nline 2'); sys.exit({REFUSED})"
    with pytest.raises(StartFailed, match=r"^line 1\nline 2$"):
        await run_step(["-c", script], {})


async def test_of_a_traceback_only_its_end_is_told() -> None:
    with pytest.raises(StartFailed, match=r"^ZeroDivisionError: division by zero$"):
        await run_step(["-c", "1 / 0"], {})


async def test_a_step_that_is_given_up_is_ended(tmp_path: Path) -> None:
    script = "import os, pathlib, signal, sys; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); signal.pause()"
    step = asyncio.create_task(run_step(["-c", script, str(tmp_path / "pid")], {}))
    await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
