"""What Penstock leaves of a real vLLM's tokens a second, and what it adds to the first token: the same streams, both.

The load is vLLM's own, a round on each in turn. vLLM runs on one core, as `make test-vllm` runs it, over a checkpoint
that is large enough for its steps to be what takes the time; the load, Penstock and its servers have the others.
"""

import os
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import yaml

from benchmarks.report import Machine
from benchmarks.show import shown_bounds
from benchmarks.stack import CommandFailed, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from benchmarks.vllm_load import Question, Round, Seen, VLLMLoad
from tests.integration.vllm.engine import CONTEXT_TOKENS, ENGINE_CORE, NAME, PYTHON, VLLM, running_vllm

LAYERS: Final = 16
WIDTH: Final = 512
LENGTHS: Final = (64, 192)
"""Of the answers, in tokens: were they alike, all would end in one step, and ask again in one."""
NO_UPSTREAM: Final = "http://127.0.0.1:9/v1"
LEAST_SHARE: Final = 0.97
MOST_ADDED_MS: Final = 5
ROUND_PER_STREAM: Final = 10
"""Answers a round has for each stream: with fewer, how the last of them end is what a round shows."""
QUICK_ROUNDS: Final = 2


@dataclass(frozen=True)
class Kind:
    """A kind of load: streams at once, and rounds of it on either side."""

    at_once: int
    rounds: int


KINDS: Final = (Kind(1, 4), Kind(8, 12), Kind(16, 8))


class Beside(msgspec.Struct, frozen=True):
    """One kind of load on both, round for round."""

    at_once: int
    direct: list[Seen]
    penstock: list[Seen]

    @property
    def title(self) -> str:
        return f"{self.at_once} at a time"

    @property
    def shares(self) -> list[float]:
        """Of vLLM's own tokens a second, round for round: each asks both the same within a minute."""
        pairs = zip(self.direct, self.penstock, strict=True)
        return [ours.tokens_per_s / theirs.tokens_per_s for theirs, ours in pairs]

    @property
    def added_ms(self) -> float:
        """To the first token's median, the median of what the rounds say."""
        pairs = zip(self.direct, self.penstock, strict=True)
        return median(ours.first_ms - theirs.first_ms for theirs, ours in pairs)

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.penstock)


class Report(msgspec.Struct, frozen=True):
    machine: Machine
    loads: list[Beside]


async def measure_vllm(*, quick: bool) -> Report:
    """Takes twenty minutes, or six. Raises CommandFailed when something does not start."""
    if not PYTHON.exists():
        raise CommandFailed("vLLM is not installed: make test-vllm")
    machine = Machine.here()
    leave_the_engine_its_core()
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_vllm(folder, LAYERS, WIDTH) as engine:
        catalog = catalog_of(engine, folder, LENGTHS[1])
        async with (
            running_stack(folder, NO_UPSTREAM, ("--catalog", str(catalog))) as stack,
            VLLMLoad.running(PYTHON, folder, folder / "checkpoint") as load,
        ):
            targets = Target(engine.url, ""), Target(stack.base_url.removesuffix("/v1"), stack.key)
            loads = [
                await _beside(load, kind.at_once, QUICK_ROUNDS if quick else kind.rounds, targets) for kind in KINDS
            ]
    shutil.rmtree(folder)
    return Report(machine, loads)


@dataclass(frozen=True)
class Target:
    """A server, by its base URL without /v1."""

    url: str
    key: str

    def round(self, at_once: int, questions: list[Question]) -> Round:
        return Round(self.url, self.key, NAME, at_once, questions)


async def _beside(load: VLLMLoad, at_once: int, rounds: int, targets: Sequence[Target]) -> Beside:
    """`targets` are vLLM, then Penstock. A short round on each goes before and is not counted.

    Raises CommandFailed where vLLM itself fails.
    """
    for target in targets:
        await load.ask(target.round(at_once, _questions(at_once)))
    seen: dict[Target, list[Seen]] = {target: [] for target in targets}
    for number in range(1, rounds + 1):
        questions = _questions(at_once * ROUND_PER_STREAM)
        for target in random.sample(targets, len(targets)):
            seen[target].append(await load.ask(target.round(at_once, questions)))
        told = " and ".join(f"{seen[target][-1].tokens_per_s:.0f}" for target in targets)
        print(f"{at_once} at a time, round {number} of {rounds}: {told} tokens/s", file=sys.stderr, flush=True)
    direct, penstock = (seen[target] for target in targets)
    if failure := next((each.first_failure for each in direct if each.failed), None):
        raise CommandFailed(f"vLLM failed: {failure}")
    return Beside(at_once, direct, penstock)


def _questions(count: int) -> list[Question]:
    """With answers evenly spread over LENGTHS, in any order."""
    least, most = LENGTHS
    lengths = [least + (most - least) * place // max(1, count - 1) for place in range(count)]
    return [
        Question(f"Say something about the sea. {random.getrandbits(30)}", length)
        for length in random.sample(lengths, count)
    ]


def catalog_of(engine: VLLM, folder: Path, max_output_tokens: int) -> Path:
    """A file in `folder` with the engine's row, as a team would write it."""
    row = {
        "id": NAME,
        "engine": "vllm",
        "base_url": engine.url + "/v1",
        "context_tokens": CONTEXT_TOKENS,
        "max_output_tokens": max_output_tokens,
    }
    catalog = folder / "vllm.yaml"
    catalog.write_text(yaml.safe_dump({"models": [row]}))
    return catalog


def leave_the_engine_its_core() -> None:
    """What is started from here on inherits it; the engine is told its own."""
    if others := os.sched_getaffinity(0) - {ENGINE_CORE}:
        os.sched_setaffinity(0, others)


def bounds(seen: Report) -> list[Bound]:
    """What is promised is for streams beside each other; one alone, which wakes every part in turn, is shown."""
    together = [each for each in seen.loads if each.at_once > 1]
    return [
        *(
            Bound(f"{each.title}: tokens/s", "of vLLM's own", median(each.shares), least=LEAST_SHARE)
            for each in together
        ),
        *(Bound(f"{each.title}: first token added, p50", "ms", each.added_ms, most=MOST_ADDED_MS) for each in together),
        Bound("requests that failed", "", sum(each.failed for each in seen.loads), most=0),
    ]


def shown(seen: Report) -> str:
    rows = [
        (
            each.title,
            str(len(each.shares)),
            *(f"{median(one.tokens_per_s for one in side):.0f}" for side in (each.direct, each.penstock)),
            f"{median(each.shares):.3f} ({min(each.shares):.3f} to {max(each.shares):.3f})",
            *(f"{median(one.first_ms for one in side):.1f}" for side in (each.direct, each.penstock)),
            f"{each.added_ms:.1f}",
            str(each.failed),
        )
        for each in seen.loads
    ]
    failures = {one.first_failure for each in seen.loads for one in each.penstock if one.first_failure}
    size = f"{LAYERS} layers of {WIDTH}, answers of {LENGTHS[0]} to {LENGTHS[1]} tokens"
    sides = ("tokens/s", "Penstock's", "share", "first, ms", "Penstock's", "added", "failed")
    return "\n".join(
        (table((f"vLLM, {size} (medians)", "rounds", *sides), rows), *failures, "", shown_bounds(bounds(seen)))
    )
