"""Everything one run saw; `--json` writes it as it is."""

import os
import platform
from datetime import UTC, datetime

import msgspec
import psutil

from benchmarks.beside import Beside
from benchmarks.growth import Growth
from benchmarks.scenario import Scenario


class Machine(msgspec.Struct, frozen=True):
    """What the figures hold for. `busy_share` is what others took of all cores just before the run."""

    cores: int
    memory_bytes: int
    system: str
    python: str
    busy_share: float
    at: str

    @classmethod
    def here(cls) -> "Machine":
        return cls(
            cores=os.cpu_count() or 1,
            memory_bytes=psutil.virtual_memory().total,
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
            busy_share=psutil.cpu_percent(interval=1.0) / 100,
            at=datetime.now(UTC).isoformat(timespec="seconds"),
        )


class PartMemory(msgspec.Struct, frozen=True):
    """One part's memory when the stack is idle and fresh, and after all load; PSS where the system counts it."""

    part: str
    weights_bytes: int
    fresh_rss_bytes: int
    fresh_pss_bytes: int | None
    after_rss_bytes: int
    after_pss_bytes: int | None


class Report(msgspec.Struct, frozen=True):
    """`up_s` is what each start took, the first on an empty data folder."""

    machine: Machine
    up_s: list[float]
    idle_cpu_shares: dict[str, float]
    memory: list[PartMemory]
    scenarios: list[Scenario]
    beside: list[Beside]
    growth: Growth

    def scenario(self, *, stream: bool, at_once: int) -> Scenario:
        return next(each for each in self.scenarios if (each.stream, each.at_once) == (stream, at_once))

    def doors(self, *, stream: bool, at_once: int) -> Beside:
        return next(each for each in self.beside if (each.stream, each.at_once) == (stream, at_once))

    @property
    def idle_bytes(self) -> int:
        """Resident memory of the whole idle stack without the model's weights; shared pages count for each sharer."""
        return sum(part.fresh_rss_bytes - part.weights_bytes for part in self.memory)
