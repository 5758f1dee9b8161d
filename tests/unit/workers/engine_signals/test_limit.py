"""The limit against an engine that is simulated: so many seats, a line before them, and workers that always have more.

Time is simulated too, and whatever is left to chance comes from a seed.
"""

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from workers.engine_signals.following import DOUBLING_LOOK_S, LOOK_S
from workers.engine_signals.limit import FIRST, Limit
from workers.engine_signals.reading import Reading

MOST = 512


@dataclass
class Worker:
    """Takes as many jobs as its limit says from `joins_s` on."""

    joins_s: float = 0.0
    limit: Limit = field(default_factory=lambda: Limit(MOST))
    held: int = 0
    used_up: bool = False
    next_look_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    at_s: float
    running: int
    waiting: int
    limits: tuple[int, ...]


class Engine:
    def __init__(self, seats: int, job_s: float, *workers: Worker, told_every_s: float = 0.0) -> None:
        self.seats = seats
        self.seen: list[Seen] = []
        self.ended_at_s: list[float] = []
        self._job_s = job_s
        self._told_every_s = told_every_s
        self._told = Reading(0, 0)
        self._told_at_s = -1000.0
        self._workers = workers
        self._chance = random.Random(1)
        self._line: deque[Worker] = deque()
        self._running: list[tuple[float, int, Worker]] = []
        self._number = 0
        self._now_s = 0.0

    def run(self, until_s: float) -> "Engine":
        while self._now_s < until_s:
            self._fill()
            looking = min(self._workers, key=lambda worker: worker.next_look_s)
            if self._running and self._running[0][0] <= looking.next_look_s:
                self._now_s, _, worker = heapq.heappop(self._running)
                worker.held -= 1
                self.ended_at_s.append(self._now_s)
            else:
                self._now_s = looking.next_look_s
                self._look(looking)
        return self

    def since(self, at_s: float) -> list[Seen]:
        return [each for each in self.seen if each.at_s >= at_s]

    def goodput(self, since_s: float) -> float:
        """What part of the seats' time was used."""
        ended = sum(at_s >= since_s for at_s in self.ended_at_s)
        return ended * self._job_s / self.seats / (self._now_s - since_s)

    def _fill(self) -> None:
        for worker in self._workers:
            if self._now_s >= worker.joins_s:
                more = max(0, worker.limit.count - worker.held)
                worker.held += more
                worker.used_up = True
                self._line.extend([worker] * more)
        while self._line and len(self._running) < self.seats:
            self._number += 1
            takes_s = self._job_s * self._chance.uniform(0.5, 1.5)
            heapq.heappush(self._running, (self._now_s + takes_s, self._number, self._line.popleft()))

    def _look(self, worker: Worker) -> None:
        if self._now_s - self._told_at_s >= self._told_every_s:
            self._told_at_s = self._now_s
            self._told = Reading(len(self._running), len(self._line), 0.5, tokens=self._now_s)
        worker.limit.look(self._told, worker.held, used_up=worker.used_up)
        worker.used_up = False
        pause_s = DOUBLING_LOOK_S if worker.limit.doubles else LOOK_S
        worker.next_look_s = self._now_s + pause_s * self._chance.uniform(0.5, 1.5)
        limits = tuple(each.limit.count for each in self._workers)
        self.seen.append(Seen(self._now_s, len(self._running), len(self._line), limits))


@pytest.mark.parametrize(("seats", "job_s"), [(1, 1.0), (8, 0.2), (8, 1.0), (8, 10.0), (64, 2.0), (256, 10.0)])
def test_a_worker_finds_what_its_engine_can_run(seats: int, job_s: float) -> None:
    engine = Engine(seats, job_s, Worker()).run(300)
    late = engine.since(60)
    spare = max(2.0, 0.2 * seats)
    assert max(each.limits[0] for each in late) <= seats + spare
    assert min(each.limits[0] for each in late) >= seats - spare
    assert max(each.waiting for each in late) <= spare
    assert engine.goodput(60) > 0.95


@pytest.mark.parametrize(("seats", "within_s"), [(8, 1), (64, 4), (256, 6)])
def test_it_is_there_in_seconds(seats: int, within_s: float) -> None:
    engine = Engine(seats, 2.0, Worker()).run(30)
    first = next(each.at_s for each in engine.seen if each.running >= 0.8 * seats)
    assert first <= within_s


@pytest.mark.parametrize("joins_s", [0.0, 40.0])
@pytest.mark.parametrize(("seats", "workers"), [(8, 2), (64, 3), (256, 4)])
def test_workers_that_share_an_engine_come_to_like_parts(seats: int, workers: int, joins_s: float) -> None:
    later = [Worker(joins_s) for _ in range(workers - 1)]
    engine = Engine(seats, 1.0, Worker(), *later).run(400)
    late = engine.since(150)
    parts = [sum(each.limits[i] for each in late) / len(late) for i in range(workers)]
    assert max(parts) < 2 * min(parts), parts
    assert max(each.waiting for each in late) <= max(3.0, 0.3 * seats)
    assert engine.goodput(150) > 0.95


def test_a_replica_that_comes_and_one_that_goes_are_noticed() -> None:
    engine = Engine(32, 1.0, Worker()).run(60)
    engine.seats = 128
    engine.run(120)
    assert engine.seen[-1].running > 0.8 * 128
    engine.seats = 32
    engine.run(180)
    assert engine.seen[-1].limits[0] <= 1.2 * 32


def test_gauges_that_are_told_every_ten_seconds_only_slow_it_down() -> None:
    engine = Engine(32, 4.0, Worker(), told_every_s=10.0).run(600)
    late = engine.since(200)
    assert max(each.limits[0] for each in late) <= 1.5 * 32
    assert engine.goodput(200) > 0.9


def test_a_burst_is_doubled_for_and_only_as_long_as_nothing_waits() -> None:
    limit = Limit(MOST)
    assert limit.count == FIRST == 4
    assert limit.look(Reading(4, 0, tokens=0), 4, used_up=True) == 8
    assert limit.look(Reading(8, 0, tokens=0), 8, used_up=True) == 16
    assert limit.look(Reading(16, 0, tokens=1), 16, used_up=True) == 32
    assert limit.look(Reading(32, 0, tokens=2), 32, used_up=True) == 64
    assert limit.look(Reading(40, 24, tokens=3), 64, used_up=True) == 40
    assert limit.look(Reading(40, 0, tokens=4), 40, used_up=True) == 42


def test_a_limit_that_is_not_reached_does_not_grow() -> None:
    limit = Limit(MOST)
    assert limit.look(Reading(3, 0, tokens=1), 3, used_up=False) == FIRST


def test_what_others_have_too_much_is_theirs_to_give_up_in_proportion() -> None:
    limit = Limit(MOST)
    assert limit.look(Reading(20, 20, tokens=1), 8, used_up=True) == 4


def test_a_cut_is_not_made_again_before_its_jobs_have_ended() -> None:
    limit = Limit(MOST)
    assert limit.look(Reading(4, 4, tokens=1), 8, used_up=True) == 4
    assert limit.look(Reading(4, 3, tokens=2), 7, used_up=True) == 4
    assert limit.look(Reading(4, 2, tokens=3), 6, used_up=True) == 4


def test_the_same_reading_told_twice_is_no_news() -> None:
    limit = Limit(MOST)
    told = Reading(FIRST, 0, tokens=1)
    assert limit.look(told, FIRST, used_up=True) == 2 * FIRST
    assert limit.look(told, 2 * FIRST, used_up=True) == 2 * FIRST


def test_an_engine_whose_cache_is_full_is_given_no_more() -> None:
    limit = Limit(MOST)
    assert limit.look(Reading(4, 0, cache_share=0.97, tokens=1), 4, used_up=True) == 4


def test_what_an_engine_turned_away_counts_as_waiting() -> None:
    limit = Limit(MOST)
    assert limit.look(Reading(2, 0, tokens=1), 8, used_up=True, refused=6) == 2


def test_there_is_always_one_and_never_more_than_the_most() -> None:
    limit = Limit(3)
    assert limit.count == 3
    assert limit.look(Reading(0, 9, tokens=1), 3, used_up=True) == 1
    for tokens in range(2, 40):
        limit.look(Reading(200, 0, tokens=tokens), 3, used_up=True)
    assert limit.count == 3


def test_an_engine_that_tells_nothing_has_the_most_less_what_it_turns_away() -> None:
    limit = Limit(128)
    assert limit.look_in_the_dark(0, used_up=False) == 128
    assert limit.look_in_the_dark(128, used_up=True, refused=112) == 16
    assert limit.look_in_the_dark(16, used_up=True) == 17
    assert limit.look_in_the_dark(5, used_up=False) == 17
    assert limit.look_in_the_dark(17, used_up=True, refused=17) == 1


def test_while_it_doubles_there_may_be_the_most_and_once_something_waits_what_there_is() -> None:
    limit = Limit(MOST)
    assert (limit.count, limit.hoped) == (FIRST, MOST)
    limit.look(Reading(FIRST, 0), FIRST, used_up=True)
    assert (limit.count, limit.hoped) == (2 * FIRST, MOST)
    limit.look(Reading(5, 3), 2 * FIRST, used_up=True)
    assert (limit.count, limit.hoped) == (5, 5)


def test_after_a_rest_there_may_be_what_there_was() -> None:
    limit = Limit(MOST)
    limit.look(Reading(40, 24), 64, used_up=True)
    for tokens in range(20):
        limit.look(Reading(40, 0, tokens=tokens), limit.count, used_up=True)
    before = limit.count
    assert before > FIRST
    assert (limit.rest(held=0), limit.hoped) == (FIRST, before)
    assert (limit.rest(held=0), limit.hoped) == (FIRST, before)
    limit.look(Reading(5, 3, tokens=99), FIRST, used_up=True)
    assert limit.hoped == limit.count < FIRST


def test_an_engine_that_tells_nothing_is_not_hoped_of() -> None:
    limit = Limit(128)
    limit.look_in_the_dark(0, used_up=False)
    limit.look_in_the_dark(128, used_up=True, refused=112)
    assert limit.hoped == limit.count == 16


def test_after_a_rest_it_finds_out_anew() -> None:
    limit = Limit(MOST)
    for tokens in range(5):
        limit.look(Reading(1, 0, tokens=tokens), limit.count, used_up=True)
    assert limit.count == 32 * FIRST
    assert limit.rest(held=20) == 40
    assert limit.rest(held=0) == FIRST
    assert limit.look(Reading(FIRST, 0, tokens=9), FIRST, used_up=True) == 2 * FIRST
