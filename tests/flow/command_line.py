"""The command line as a person or a program uses it: a process, its output and its exit status."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from penstock.run_file import PartRow, Run, read_run

START_S: Final = 90.0


def penstock(*words: str | Path, timeout_s: float = START_S) -> subprocess.CompletedProcess[str]:
    """Run `penstock WORDS` to its end."""
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=timeout_s, check=False)


def command(*words: str | Path) -> list[str]:
    return [sys.executable, "-m", "penstock", *map(str, words)]


def json_of(*words: str | Path) -> Any:
    """What a command that must succeed prints as JSON."""
    done = penstock(*words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def runs(pid: int) -> bool:
    """Whether the process does more than wait for its parent to take note of its end."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not done.stdout.startswith("Z") and done.stdout.strip() != ""


@dataclass(frozen=True)
class Detached:
    """A stack in the background, as `up --detach --json` announced it."""

    data: Path
    base_url: str
    key: str
    kafka: str

    @classmethod
    def up(cls, data: Path, *words: str | Path) -> "Detached":
        said = json_of("up", "--detach", "--port=0", "--data", data, *words)
        assert set(said) == {"base_url", "key", "data", "kafka"}
        return cls(Path(said["data"]), said["base_url"], said["key"], said["kafka"])

    def down(self) -> None:
        done = penstock("down", "--data", self.data)
        assert (done.returncode, done.stdout) == (0, f"stopped {self.data}\n")

    def run(self) -> Run:
        """What `penstock status` reads, without a process for each look."""
        run = read_run(self.data)
        assert run is not None
        return run

    def part(self, name: str) -> PartRow:
        return next(part for part in self.run().parts if part.name == name)

    def pids(self) -> list[int]:
        run = self.run()
        return [run.pid, *(part.pid for part in run.parts if part.pid is not None)]
