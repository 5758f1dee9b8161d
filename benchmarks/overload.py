"""More than an engine can run, asked as it comes: what becomes of each request, and how long it waited."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import msgspec

from benchmarks.figures import quantile

PATIENCE_S: Final = 60.0

SHED_LATE_S: Final = 1.0
"""Whoever hears no after this has waited for it; the door says it at once."""


class Told(msgspec.Struct, frozen=True):
    """What one client heard, and when; times are seconds since the load began."""

    asked_at_s: float
    ended_at_s: float
    status: int
    waited_s: float
    retry_after: str | None = None
    fault: str | None = None


class All(msgspec.Struct, frozen=True):
    """What all clients heard."""

    told: list[Told]

    @property
    def answered(self) -> list[Told]:
        return [each for each in self.told if each.status == 200 and each.fault is None]

    @property
    def shed(self) -> list[Told]:
        return [each for each in self.told if each.status == 503]

    @property
    def shed_late(self) -> list[Told]:
        return [each for each in self.shed if each.ended_at_s - each.asked_at_s > SHED_LATE_S]

    @property
    def shed_without_a_word(self) -> list[Told]:
        return [each for each in self.shed if each.retry_after is None or int(each.retry_after) < 1]

    @property
    def failed(self) -> list[Told]:
        return [each for each in self.told if each.status not in (200, 503) or each.fault is not None]

    def waited_s(self, share: float) -> float:
        return quantile([each.waited_s for each in self.answered], share)


@dataclass(frozen=True)
class Question:
    """What is asked; an answer has `mark` in it from its first token on.

    `first_s` and `whole_s` are what the engine takes until its first token and its last, once it has begun.
    """

    body: dict[str, Any]
    mark: bytes
    first_s: float
    whole_s: float


class Clients:
    """Any number of clients of one stack."""

    def __init__(self, base_url: str, key: str, question: Question) -> None:
        self._url = f"{base_url}/chat/completions"
        self._question = question
        self._http = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {key}"},
            limits=httpx2.Limits(max_connections=None),
            timeout=PATIENCE_S,
            trust_env=False,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def load(self, per_s: float, load_s: float, *, stream_each: int) -> All:
        """Requests that come as they like, one of `stream_each` for a stream, whatever has become of those before."""
        chance, began = random.Random(1), time.perf_counter()
        asking: list[asyncio.Task[Told]] = []
        next_s = 0.0
        while next_s < load_s:
            await asyncio.sleep(max(0.0, next_s - (time.perf_counter() - began)))
            asking.append(asyncio.create_task(self.ask(began, stream=len(asking) % stream_each == 0)))
            next_s += chance.expovariate(per_s)
        return All(await asyncio.gather(*asking))

    async def ask(self, began: float, *, stream: bool) -> Told:
        """`waited_s` is what is left of the time until the first token, or the whole answer, without the engine's."""
        question, first_at, fault = self._question, 0.0, None
        engine_s = question.first_s if stream else question.whole_s
        asked_at, body = time.perf_counter(), {**question.body, "stream": stream}
        try:
            async with self._http.stream("POST", self._url, json=body) as response:
                said = bytearray()
                async for piece in response.aiter_bytes():
                    said += piece
                    if not first_at and question.mark in said:
                        first_at = time.perf_counter()
                status, retry_after = response.status_code, response.headers.get("retry-after")
            if status == 200 and (not first_at or (stream and not said.rstrip().endswith(b"[DONE]"))):
                fault = f"no whole answer: {bytes(said[-200:])!r}"
            elif status not in (200, 503):
                fault = f"status {status}: {bytes(said[:200])!r}"
        except httpx2.HTTPError as failure:
            status, retry_after, fault = 0, None, repr(failure)
        ended_at = time.perf_counter()
        waited_s = max(0.0, first_at - asked_at - engine_s) if first_at else 0.0
        return Told(asked_at - began, ended_at - began, status, waited_s, retry_after, fault)


def shown_heard(heard: All, load_s: float, capacity_per_s: float) -> list[Sequence[str]]:
    """Rows of a table."""
    count = len(heard.told)
    return [
        ["offered", f"{count / load_s:.1f} /s, of {capacity_per_s:.2f} /s that it can run"],
        [
            "answered",
            f"{len(heard.answered)}, and waited {heard.waited_s(0.5):.2f} s p50, {heard.waited_s(0.99):.2f} s p99",
        ],
        ["shed", f"{len(heard.shed) / count:.0%}, of them after {SHED_LATE_S:.0f} s and more {len(heard.shed_late)}"],
    ]


def shown_failures(heard: All) -> list[str]:
    return [f"failed: {each.fault}" for each in heard.failed[:3]]
