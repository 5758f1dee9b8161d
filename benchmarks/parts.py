"""What the processes of a stack take: CPU time and memory, as the system counts them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

import psutil

Seen = TypeVar("Seen")

WEIGHTS: Final = (".gguf", ".onnx")
"""How the files end whose pages are a model's weights, not the platform's."""

MAX_HEAP: Final = re.compile(r"-Xmx(\d+)m")


@dataclass(frozen=True)
class Memory:
    """`pss_bytes` shares pages among those that use them, and is None where the system does not say.

    `weights_bytes` of `rss_bytes` are pages of a model's file.
    """

    rss_bytes: int
    pss_bytes: int | None
    weights_bytes: int

    @property
    def own_bytes(self) -> int:
        return self.rss_bytes - self.weights_bytes


class PartGone(Exception):
    """A part died during the run, so no figure of the run can be trusted."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} died during the run")


class Parts:
    """Processes by the name of their part. Every look at them raises PartGone when one is not there any more."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._processes = {name: psutil.Process(pid) for name, pid in pids.items()}

    @property
    def names(self) -> list[str]:
        return list(self._processes)

    def cpu_s(self) -> dict[str, float]:
        """User and system time since each started."""
        return self._look(_cpu_s)

    def rss_bytes(self) -> dict[str, int]:
        return self._look(lambda process: process.memory_info().rss)

    def memory(self) -> dict[str, Memory]:
        """Dearer than `rss_bytes`: the system walks every page of the process."""
        return self._look(_memory)

    def heap_limits(self) -> dict[str, int | None]:
        """The most that a Java part's heap may take, as its command line says; None for all others."""
        return self._look(_heap_limit)

    def _look(self, at: Callable[[psutil.Process], Seen]) -> dict[str, Seen]:
        seen = {}
        for name, process in self._processes.items():
            try:
                seen[name] = at(process)
            except psutil.NoSuchProcess as gone:
                raise PartGone(name) from gone
        return seen


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _memory(process: psutil.Process) -> Memory:
    pss: int | None = getattr(process.memory_full_info(), "pss", None)
    weights = sum(each.rss for each in process.memory_maps() if each.path.endswith(WEIGHTS))
    return Memory(process.memory_info().rss, pss, weights)


def _heap_limit(process: psutil.Process) -> int | None:
    found = [MAX_HEAP.fullmatch(word) for word in process.cmdline()]
    return next((int(match[1]) * 2**20 for match in found if match), None)
