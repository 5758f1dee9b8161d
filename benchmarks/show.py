"""A report for a person to read."""

from collections.abc import Iterator, Sequence

from benchmarks.beside import Beside, DoorRow
from benchmarks.growth import FLAT_BYTES, Growth
from benchmarks.micro.timing import Timing
from benchmarks.report import Machine, PartMemory, Report
from benchmarks.scenario import Row, Scenario
from benchmarks.tables import table
from benchmarks.targets import MEGABYTE, Bound, bounds

LOAD_HEAD = ("target", "ok", "failed", "per s", "first p50", "p99", "total p50", "p99", "added first p50", "p99",
             "added total p50", "p99")  # fmt: skip


def shown(report: Report) -> str:
    """All sections, the verdict last."""
    return "\n\n".join(_sections(report))


def shown_timings(timings: Sequence[Timing]) -> str:
    """The medians of single functions and round trips."""
    return table(("function", "microseconds"), [(each.what, f"{each.median_us:.2f}") for each in timings])


def _sections(report: Report) -> Iterator[str]:
    yield _machine(report.machine)
    for scenario in report.scenarios:
        yield _load(scenario)
    for beside in report.beside:
        yield _doors(beside)
    yield _cpu(report)
    yield _memory(report)
    yield _growth(report.growth)
    yield shown_bounds(bounds(report))


def _machine(machine: Machine) -> str:
    return (
        f"{machine.cores} cores, {machine.memory_bytes / 2**30:.0f} GiB, {machine.system}, Python {machine.python}, "
        f"{machine.at}; before the run others took {machine.busy_share:.0%} of the machine"
    )


def _load(scenario: Scenario) -> str:
    rows = [_load_row(row) for row in scenario.rows]
    failures = [f"{row.target}: {row.first_failure}" for row in scenario.rows if row.first_failure]
    client = f"milliseconds; the load generator took {scenario.client_share:.0%} of a core"
    return "\n".join((f"{scenario.title} ({client})", table(LOAD_HEAD, rows), *failures))


def _load_row(row: Row) -> tuple[str, ...]:
    latency = [f"{row.latency.first_p50_ms:.2f}", f"{row.latency.first_p99_ms:.2f}", f"{row.latency.total_p50_ms:.2f}",
               f"{row.latency.total_p99_ms:.2f}"] if row.latency else ["-"] * 4  # fmt: skip
    added = [f"{row.added.first_p50_ms:+.2f}", f"{row.added.first_p99_ms:+.2f}", f"{row.added.total_p50_ms:+.2f}",
             f"{row.added.total_p99_ms:+.2f}"] if row.added else [""] * 4  # fmt: skip
    return (row.target, str(row.answered), str(row.failed), f"{row.per_s:.0f}", *latency, *added)


def _doors(beside: Beside) -> str:
    rows = [_door_row(beside, row) for row in beside.rows]
    failures = [f"{row.door}: {row.first_failure}" for row in beside.rows if row.first_failure]
    head = ("door", "ok", "failed", "first added ms", "of chat's", "per s", "of chat's", "ingress CPU ms", "of chat's")
    return "\n".join((f"Doors beside chat: {beside.title} (medians)", table(head, rows), *failures))


def _door_row(beside: Beside, row: DoorRow) -> tuple[str, ...]:
    return (
        row.door,
        str(row.answered),
        str(row.failed),
        _figure(row.added_first_ms, ".2f"),
        _figure(beside.added_to_chat(row.door), ".2f"),
        _figure(row.per_s, ".0f"),
        _figure(beside.rate_to_chat(row.door), ".2f"),
        _figure(row.ingress_ms, ".2f"),
        _figure(beside.cpu_to_chat(row.door), ".2f"),
    )


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _cpu(report: Report) -> str:
    names = list(report.scenarios[0].cpu_ms)
    rows = [(name, *(f"{each.cpu_ms[name]:.2f}" for each in report.scenarios)) for name in names]
    rows.append(("all", *(f"{sum(each.cpu_ms.values()):.2f}" for each in report.scenarios)))
    return "CPU milliseconds of one request through Penstock, above the idle stack's\n" + table(
        ("part", *(each.title for each in report.scenarios)), rows
    )


def _memory(report: Report) -> str:
    rows = [_memory_row(part) for part in report.memory]
    rows.append(("all", *(f"{sum(float(row[column]) for row in rows):.1f}" for column in range(1, 6))))
    shares = ", ".join(f"{name} {share:.1%}" for name, share in report.idle_cpu_shares.items())
    head = ("part", "weights", "fresh RSS", "PSS", "after load RSS", "PSS")
    starts = ", then ".join(f"{each:.1f} s" for each in report.up_s)
    return f"Memory in MB\n{table(head, rows)}\nidle CPU, of a core: {shares}\npenstock up: {starts}"


def _memory_row(part: PartMemory) -> tuple[str, ...]:
    figures = (part.weights_bytes, part.fresh_rss_bytes, part.fresh_pss_bytes or 0, part.after_rss_bytes,
               part.after_pss_bytes or 0)  # fmt: skip
    return (part.part, *(f"{each / MEGABYTE:.1f}" for each in figures))


def _growth(growth: Growth) -> str:
    rows = [
        (
            slope.part,
            f"{slope.first_bytes / MEGABYTE:.1f}",
            f"{slope.last_bytes / MEGABYTE:.1f}",
            f"{slope.bytes_per_request:+.0f}",
            "" if slope.kept_bytes is None else f"{slope.kept_bytes:+.0f}",
            "" if slope.limit_bytes is None else f"{slope.limit_bytes / MEGABYTE:.0f}",
            slope.verdict,
        )
        for slope in growth.slopes
    ]
    title = (
        f"Growth over {growth.requests} streams in {growth.taken_s:.0f} s: {growth.aborted} left by their client in "
        f"the middle, {growth.stopped} of them stopped in the upstream; {growth.failed} failed"
    )
    head = ("part", "first MB", "last MB", "bytes a request", "kept", "limit MB", f"verdict (flat ≤ {FLAT_BYTES:.0f})")
    failure = [growth.first_failure] if growth.first_failure else []
    return "\n".join((title, table(head, rows), *failure))


def shown_bounds(held: Sequence[Bound]) -> str:
    rows = [
        (
            bound.what,
            "-" if bound.value is None else f"{bound.value:.4g}",
            bound.wanted,
            bound.unit,
            "met" if bound.met else "NOT MET",
        )
        for bound in held
    ]
    return "Targets\n" + table(("figure", "seen", "wanted", "unit", "verdict"), rows)
