"""How soon the first byte of a sound is there, beside Piper itself: the same texts, directly and by HTTP."""

import asyncio
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
from piper import PiperVoice

from benchmarks.doors import Door
from benchmarks.http_client import Answer
from benchmarks.load import Caller, Plan, Target, Wish, interleave
from benchmarks.report import Machine
from benchmarks.scenario import DIRECT, PENSTOCK
from benchmarks.show import shown_bounds
from benchmarks.stack import running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound
from storage.catalog import load_catalog
from workers.engines.piper_files import Options, model_file

MODEL: Final = "piper-en-us-joe"
NO_UPSTREAM: Final = "http://127.0.0.1:9/v1"
MOST_OF_PIPER: Final = 1.2
MILLISECONDS: Final = 1000

SENTENCE: Final = "The tide comes in twice a day and goes out again."
PARAGRAPH: Final = f"{SENTENCE} Nobody has ever asked the sea why it does that. Gulls walk where fish swam an hour ago."
KINDS: Final = (
    ("a sentence, mp3", SENTENCE, "mp3"),
    ("a sentence, opus", SENTENCE, "opus"),
    ("a sentence, pcm", SENTENCE, "pcm"),
    ("three sentences, mp3", PARAGRAPH, "mp3"),
)


class First(msgspec.Struct, frozen=True):
    """One kind of sound: until its first byte, one at a time, the medians."""

    title: str
    direct_ms: float
    penstock_ms: float
    failed: int
    first_failure: str | None

    @property
    def ratio(self) -> float:
        return self.penstock_ms / self.direct_ms


class Seen(msgspec.Struct, frozen=True):
    machine: Machine
    firsts: list[First]


class Directly:
    """Piper's own voice in a thread of this process, as its own package loads it, with nothing in between."""

    def __init__(self, voice: PiperVoice, text: str) -> None:
        self.target = Target(DIRECT, "", "", MODEL)
        self._voice = voice
        self._text = text

    async def ask_all(self, wishes: Sequence[Wish], at_once: int) -> list[Answer]:
        return [await asyncio.to_thread(self._speak) for _ in wishes]

    def _speak(self) -> Answer:
        began, first_s = time.perf_counter(), 0.0
        for sentence in self._voice.synthesize(self._text):
            assert sentence.audio_int16_bytes
            first_s = first_s or time.perf_counter() - began
        return Answer(first_s, time.perf_counter() - began)


def _body(text: str, output_format: str, said: str) -> dict[str, Any]:
    """Always the same text: what is `said` has numbers in it, which are as long to say as they are at random."""
    return {"input": text, "voice": "alloy", "response_format": output_format}


async def measure_speech(*, quick: bool) -> Seen:
    """Takes two minutes, or half of one. Raises CommandFailed when the stack does not start."""
    machine = Machine.here()
    voice = await asyncio.to_thread(PiperVoice.load, model_file(load_catalog([]).find(MODEL), Options()))
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    plan = Plan(stream=False, at_once=1, requests=20 if quick else 80)
    async with running_stack(folder, NO_UPSTREAM) as stack:
        firsts = []
        for title, text, output_format in KINDS:
            print(f"load: {title}", file=sys.stderr, flush=True)
            door = Door("speech", "/audio/speech", partial(_body, text, output_format), b"", b"", b"")
            caller = Caller(Target(PENSTOCK, stack.base_url, stack.key, MODEL, door))
            seen = await interleave([Directly(voice, text), caller], plan, lambda: 0.0)
            caller.close()
            direct_ms, penstock_ms = (
                MILLISECONDS * median(answer.first_s for answer in seen[name].answers) for name in (DIRECT, PENSTOCK)
            )
            failures = seen[PENSTOCK].failures
            firsts.append(First(title, direct_ms, penstock_ms, len(failures), failures[0] if failures else None))
    shutil.rmtree(folder)
    return Seen(machine, firsts)


def bounds(seen: Seen) -> list[Bound]:
    return [
        *(
            Bound(f"{each.title}: its first byte", "of Piper's own", each.ratio, most=MOST_OF_PIPER)
            for each in seen.firsts
        ),
        Bound("requests that failed", "", sum(each.failed for each in seen.firsts), most=0),
    ]


def shown(seen: Seen) -> str:
    rows = [
        (each.title, f"{each.direct_ms:.1f}", f"{each.penstock_ms:.1f}", f"{each.ratio:.2f}", str(each.failed))
        for each in seen.firsts
    ]
    failures = [f"{each.title}: {each.first_failure}" for each in seen.firsts if each.first_failure]
    head = ("speech, until the first byte, ms (medians)", "Piper", "Penstock", "ratio", "failed")
    return "\n".join((table(head, rows), *failures, "", shown_bounds(bounds(seen))))
