"""One supervisor a folder; what it says is believed only while it lives."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.run_file import FILE_NAME, PartRow, Run, claim, is_claimed, read_run, write_run
from storage.local.failure import StartFailed

CLAIMER = """
import pathlib, sys
from penstock.run_file import claim
with claim(pathlib.Path(sys.argv[1])):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def run(data: Path) -> Run:
    return Run(
        pid=os.getpid(),
        key_file=str(data / "key"),
        ready=True,
        base_url="http://127.0.0.1:8080/v1",
        data=str(data),
        kafka="127.0.0.1:9092",
        redis="unix:///v.sock",
        database="postgresql://user:secret@db/penstock",
        catalog="",
        parts=[PartRow("ingress", "running", 12, 0, "http://127.0.0.1:8080/v1")],
    )


def test_what_runs_can_be_read_by_its_owner_only(tmp_path: Path) -> None:
    with claim(tmp_path):
        write_run(run(tmp_path), tmp_path)
        assert read_run(tmp_path) == run(tmp_path)
        assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert read_run(tmp_path) is None


def test_a_second_supervisor_is_refused(tmp_path: Path) -> None:
    with (
        claim(tmp_path),
        pytest.raises(StartFailed, match=f"a stack runs in {tmp_path} already"),
        claim(tmp_path),
    ):
        pass


def test_nothing_runs_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert not is_claimed(tmp_path / "none")
    assert read_run(tmp_path / "none") is None


def test_what_a_killed_supervisor_wrote_is_not_believed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CLAIMER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as claimer:
        assert claimer.stdout is not None
        claimer.stdout.readline()
        write_run(run(tmp_path), tmp_path)
        assert read_run(tmp_path) is not None
        claimer.kill()
    assert read_run(tmp_path) is None
    with claim(tmp_path):
        assert read_run(tmp_path) is None
