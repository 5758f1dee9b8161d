"""Load on several targets in one run: a round each, in random order, again and again.

What else the machine does then falls on all of them alike, and their differences hold.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from benchmarks.doors import CHAT, Door
from benchmarks.http_client import Address, Answer, Connection

ROUND_S: Final = 120.0
"""No round takes nearly as long; one that does has hung."""

FIRST_ASKED: Final = 5
"""Requests that open connections and fill caches before the first round."""


@dataclass(frozen=True)
class Target:
    """Something that speaks a door's dialect, and the model to ask it for."""

    name: str
    base_url: str
    key: str
    model: str
    door: Door = CHAT


@dataclass(frozen=True)
class Plan:
    """How much is asked of each target in all; it is divided among the rounds.

    `length` is every answer's, in tokens. Without, the door's own number is asked for.
    """

    stream: bool
    at_once: int
    requests: int
    rounds: int = 10
    length: int | None = None

    def round(self, model: str) -> list["Wish"]:
        return [Wish(model, self.stream, length=self.length)] * max(1, self.requests // self.rounds)


@dataclass(frozen=True)
class Wish:
    """One request: `leave_after` makes the client hang up once so many chunks have come, `length` are its tokens."""

    model: str
    stream: bool
    leave_after: int | None = None
    length: int | None = None


@dataclass
class Seen:
    """What one target did over all its rounds.

    `rates` are a round's answers a second, each. The two CPU times are what the client took for it, and whoever was
    watched.
    """

    answers: list[Answer] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    wall_s: float = 0.0
    client_cpu_s: float = 0.0
    watched_cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return len(self.answers) / self.wall_s if self.wall_s else 0.0

    def add(self, answers: Iterable[Answer], wall_s: float) -> None:
        """Counts one round."""
        before = len(self.answers)
        for answer in answers:
            if answer.failure is None:
                self.answers.append(answer)
            else:
                self.failures.append(answer.failure)
        self.wall_s += wall_s
        self.rates.append((len(self.answers) - before) / wall_s)


class Asks(Protocol):
    """Whatever can be loaded: over HTTP, or where it stands."""

    @property
    def target(self) -> Target: ...

    async def ask_all(self, wishes: Sequence[Wish], at_once: int) -> list[Answer]: ...


class Caller:
    """Asks one target; its connections stay open from round to round."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._address = Address.parse(target.base_url, target.door.path)
        self._connections: list[Connection] = []

    async def ask_all(self, wishes: Sequence[Wish], at_once: int) -> list[Answer]:
        """The answers to all, in the order they came; `at_once` are under way at any time."""
        while len(self._connections) < at_once:
            self._connections.append(Connection(self._address, self.target.door))
        coming, answers = iter(wishes), []

        async def ask_on(connection: Connection) -> None:
            for wish in coming:
                request = self._address.request(self.target.key, body(self.target.door, wish))
                answers.append(await connection.ask(request, stream=wish.stream, leave_after=wish.leave_after))

        async with asyncio.timeout(ROUND_S):
            await asyncio.gather(*[ask_on(connection) for connection in self._connections[:at_once]])
        return answers

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


async def interleave(callers: Sequence[Asks], plan: Plan, watched_cpu_s: Callable[[], float]) -> dict[str, Seen]:
    """Every target's share of the plan, by the target's name."""
    seen = {caller.target.name: Seen() for caller in callers}
    for caller in callers:
        await caller.ask_all([Wish(caller.target.model, plan.stream)] * FIRST_ASKED, 1)
    for _ in range(plan.rounds):
        for caller in random.sample(callers, len(callers)):
            wishes = plan.round(caller.target.model)
            one = seen[caller.target.name]
            began, client_s, watched_s = time.perf_counter(), time.process_time(), watched_cpu_s()
            answers = await caller.ask_all(wishes, plan.at_once)
            one.add(answers, time.perf_counter() - began)
            one.client_cpu_s += time.process_time() - client_s
            one.watched_cpu_s += watched_cpu_s() - watched_s
    return seen


def body(door: Door, wish: Wish) -> dict[str, Any]:
    # Never twice the same, so that no gateway can answer from a cache.
    asked = door.body(wish.model, f"Say something about the sea. {random.getrandbits(30)}", stream=wish.stream)
    return asked if wish.length is None else {**asked, "max_tokens": wish.length}
