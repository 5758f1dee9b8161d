"""How much of the embedding engine's own throughput is left behind Penstock: the same texts, directly and by HTTP."""

import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final

import msgspec

from benchmarks.doors import Door
from benchmarks.http_client import Answer
from benchmarks.load import Caller, Plan, Target, Wish, interleave
from benchmarks.report import Machine
from benchmarks.scenario import DIRECT, PENSTOCK
from benchmarks.show import shown_bounds
from benchmarks.stack import running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from schemas.media import Embed
from storage.catalog import load_catalog
from workers.engine import EmbeddingEngine
from workers.registry import Starts, build

MODEL: Final = "all-minilm-l6-v2"
NO_UPSTREAM: Final = "http://127.0.0.1:9/v1"
LEAST_SHARE: Final = 0.8

SENTENCES: Final = (
    "The tide comes in twice a day and goes out again.",
    "Nobody has ever asked the sea why it does that.",
    "A boat lies on the sand and waits for the water to come back.",
    "Gulls walk where fish swam an hour ago, and find what they left.",
)


class Share(msgspec.Struct, frozen=True):
    """One kind of load: texts a second, the medians of the rounds."""

    title: str
    texts: int
    direct_per_s: float
    penstock_per_s: float
    failed: int
    first_failure: str | None

    @property
    def share(self) -> float:
        return self.penstock_per_s / self.direct_per_s


class Seen(msgspec.Struct, frozen=True):
    machine: Machine
    shares: list[Share]


class Directly:
    """The engine in this process, asked as the door asks it and with nothing in between."""

    def __init__(self, engine: EmbeddingEngine, texts: int) -> None:
        self.target = Target(DIRECT, "", "", MODEL)
        self._engine = engine
        self._texts = texts

    async def ask_all(self, wishes: Sequence[Wish], at_once: int) -> list[Answer]:
        coming, answers = iter(wishes), []

        async def ask_on() -> None:
            for _ in coming:
                began = time.perf_counter()
                asked = Embed(tuple(texts_of(f"{random.getrandbits(30)}", self._texts)))
                async for _ in self._engine.generate("benchmark", asked):
                    pass
                answers.append(Answer(0, time.perf_counter() - began))

        await asyncio.gather(*[ask_on() for _ in range(at_once)])
        return answers


def texts_of(said: str, count: int) -> list[str]:
    """Sentences of some twelve tokens; `said` makes them new."""
    return [f"{SENTENCES[number % len(SENTENCES)]} {said[-4:]}" for number in range(count)]


def _body(texts: int, said: str) -> dict[str, Any]:
    return {"input": texts_of(said, texts), "encoding_format": "base64"}


def door(texts: int) -> Door:
    return Door("embeddings", "/embeddings", partial(_body, texts), b"", b'"embedding"', b"")


async def measure_embeddings(*, quick: bool) -> Seen:
    """Takes two minutes, or half of one. Raises CommandFailed when the stack does not start."""
    machine = Machine.here()
    engine: EmbeddingEngine = build(load_catalog([]).find(MODEL), {})
    assert isinstance(engine, Starts)
    await engine.start()
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    factor = 1 if quick else 4
    kinds = (
        ("32 texts a request, 1 at a time", 32, Plan(stream=False, at_once=1, requests=40 * factor)),
        ("32 texts a request, 4 at a time", 32, Plan(stream=False, at_once=4, requests=40 * factor)),
        ("256 texts a request, 2 at a time", 256, Plan(stream=False, at_once=2, requests=10 * factor)),
        ("1 text a request, 32 at a time", 1, Plan(stream=False, at_once=32, requests=1280 * factor)),
    )
    async with running_stack(folder, NO_UPSTREAM) as stack:
        shares = []
        for title, texts, plan in kinds:
            print(f"load: {title}", file=sys.stderr, flush=True)
            caller = Caller(Target(PENSTOCK, stack.base_url, stack.key, MODEL, door(texts)))
            seen = await interleave([Directly(engine, texts), caller], plan, lambda: 0.0)
            caller.close()
            ours = seen[PENSTOCK]
            failure = ours.failures[0] if ours.failures else None
            direct_per_s, penstock_per_s = (texts * median(seen[name].rates) for name in (DIRECT, PENSTOCK))
            shares.append(Share(title, texts, direct_per_s, penstock_per_s, len(ours.failures), failure))
    await engine.close()
    shutil.rmtree(folder)
    return Seen(machine, shares)


def bounds(seen: Seen) -> list[Bound]:
    """A text that comes alone pays for a request of its own; what is promised is for batches."""
    batches = [each for each in seen.shares if each.texts > 1]
    return [
        *(Bound(each.title, "of the engine's own", each.share, least=LEAST_SHARE) for each in batches),
        Bound("requests that failed", "", sum(each.failed for each in seen.shares), most=0),
    ]


def shown(seen: Seen) -> str:
    rows = [
        (each.title, f"{each.direct_per_s:.0f}", f"{each.penstock_per_s:.0f}", f"{each.share:.2f}", str(each.failed))
        for each in seen.shares
    ]
    failures = [f"{each.title}: {each.first_failure}" for each in seen.shares if each.first_failure]
    head = ("embeddings, texts/s (medians)", "engine", "Penstock", "share", "failed")
    return "\n".join((table(head, rows), *failures, "", shown_bounds(bounds(seen))))
