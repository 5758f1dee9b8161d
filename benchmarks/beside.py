"""The other doors beside chat: the same stack, model and question, in one run, their rounds interleaved."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

import msgspec

from benchmarks.doors import CHAT
from benchmarks.figures import Latency
from benchmarks.load import Caller, Plan, Seen, interleave
from benchmarks.parts import Parts
from benchmarks.scenario import DIRECT

INGRESS: Final = "ingress"


class DoorRow(msgspec.Struct, frozen=True):
    """One door under one load.

    `added_first_ms` is the median over direct's, `per_s` the median of the rounds, and `ingress_ms` the CPU time that
    the ingress took for one request, its own idling in it.
    """

    door: str
    answered: int
    failed: int
    first_failure: str | None
    added_first_ms: float | None
    per_s: float | None
    ingress_ms: float | None


class Beside(msgspec.Struct, frozen=True):
    """All doors under one kind of load, chat the first."""

    title: str
    stream: bool
    at_once: int
    rows: list[DoorRow]

    def row(self, door: str) -> DoorRow:
        return next(row for row in self.rows if row.door == door)

    def added_to_chat(self, door: str) -> float | None:
        """How much more a door adds to the first token than chat does, as a share of chat's; less is better."""
        return _share(self.row(door).added_first_ms, self.row(CHAT.name).added_first_ms)

    def rate_to_chat(self, door: str) -> float | None:
        """A door's requests a second as a share of chat's; more is better."""
        return _share(self.row(door).per_s, self.row(CHAT.name).per_s)

    def cpu_to_chat(self, door: str) -> float | None:
        return _share(self.row(door).ingress_ms, self.row(CHAT.name).ingress_ms)


async def measure_beside(title: str, plan: Plan, direct: Caller, doors: Sequence[Caller], parts: Parts) -> Beside:
    """Loads every door, and the upstream itself, with the plan's share in each round."""
    seen = await interleave([direct, *doors], plan, lambda: _ingress_s(parts.cpu_s()))
    direct_ms = _first_ms(seen[DIRECT])
    rows = [_row(caller.target.name, seen[caller.target.name], direct_ms) for caller in doors]
    return Beside(title, plan.stream, plan.at_once, rows)


def _row(door: str, seen: Seen, direct_ms: float | None) -> DoorRow:
    first_ms = _first_ms(seen)
    answered = len(seen.answers)
    return DoorRow(
        door,
        answered,
        len(seen.failures),
        seen.failures[0] if seen.failures else None,
        None if first_ms is None or direct_ms is None else first_ms - direct_ms,
        median(seen.rates) if answered else None,
        1000 * seen.watched_cpu_s / answered if answered else None,
    )


def _first_ms(seen: Seen) -> float | None:
    return Latency.of(seen.answers).first_p50_ms if seen.answers else None


def _ingress_s(cpu_s: Mapping[str, float]) -> float:
    return sum(spent_s for part, spent_s in cpu_s.items() if part.startswith(INGRESS))


def _share(figure: float | None, of: float | None) -> float | None:
    return None if figure is None or not of else figure / of
