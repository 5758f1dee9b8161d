"""Races are played by interleaving the records of several workers over connections of their own."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from storage.jobs import (
    KEEP_AFTER_END_MS,
    LEASE_MS,
    Claim,
    Hold,
    JobRecords,
    cancel,
    cancel_channel,
)
from storage.line import Line
from storage.subscription import Subscription
from tests.waiting import eventually

LANE = "text.test"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Job:
    """A job of the test's own and a look at its record."""

    line: Line
    id: str
    deadline_ms: int

    @property
    def key(self) -> str:
        return f"penstock:job:{self.id}"

    async def field(self, name: str) -> bytes | None:
        return await self.line.call("HGET", self.key, name)

    async def ttl_ms(self) -> int:
        """-1 is a key that stays for ever, -2 none."""
        return int(await self.line.call("PTTL", self.key))

    async def lapse(self) -> None:
        """The lease runs out."""
        await self.line.call("HSET", self.key, "lease_ms", now_ms() - 1)

    async def is_forgotten(self) -> None:
        """Redis has come back without it."""
        await self.line.call("DEL", self.key)


@pytest.fixture
def job(line: Line) -> Job:
    return Job(line, f"job_{secrets.token_hex(6)}", now_ms() + 60_000)


@pytest.fixture
def worker(line: Line) -> Callable[..., JobRecords]:
    def named(name: str = "a", incarnation: str = "1") -> JobRecords:
        return JobRecords(line, name, incarnation)

    return named


Named = Callable[..., JobRecords]


async def test_one_of_many_that_claim_at_once_may_run(worker: Named, job: Job) -> None:
    claims = await asyncio.gather(*[worker(f"w{i}").claim(job.id, job.deadline_ms) for i in range(50)])
    assert sorted(c.claim.value for c in claims) == ["elsewhere"] * 49 + ["run"]
    assert all(0 < c.lease_left_ms <= LEASE_MS for c in claims if c.claim is Claim.ELSEWHERE)


async def test_a_lease_that_ran_out_frees_the_job_and_counts_the_attempt(worker: Named, job: Job) -> None:
    assert (await worker("a").claim(job.id, job.deadline_ms)).attempt == 1
    await job.lapse()
    claimed = await worker("b").claim(job.id, job.deadline_ms)
    assert (claimed.claim, claimed.attempt) == (Claim.RUN, 2)
    assert await worker("a").renew(job.id, job.deadline_ms, 1, None) is Hold.LOST
    assert await worker("b").renew(job.id, job.deadline_ms, 2, None) is Hold.HELD


async def test_a_restarted_worker_has_its_jobs_back_at_once_and_its_dead_self_has_lost_them(
    worker: Named, job: Job
) -> None:
    await worker("a", "1").claim(job.id, job.deadline_ms)
    again = await worker("a", "2").claim(job.id, job.deadline_ms)
    assert (again.claim, again.attempt) == (Claim.RUN, 2)
    assert await worker("a", "1").renew(job.id, job.deadline_ms, 1, None) is Hold.LOST


async def test_a_message_that_comes_again_to_the_worker_that_runs_it_waits(worker: Named, job: Job) -> None:
    """As after a rebalance."""
    await worker("a", "1").claim(job.id, job.deadline_ms)
    assert (await worker("a", "1").claim(job.id, job.deadline_ms)).claim is Claim.ELSEWHERE


async def test_a_name_with_a_slash_is_still_its_own(worker: Named, job: Job) -> None:
    await worker("pool/a", "1").claim(job.id, job.deadline_ms)
    assert (await worker("pool", "1").claim(job.id, job.deadline_ms)).claim is Claim.ELSEWHERE
    assert (await worker("pool/a", "2").claim(job.id, job.deadline_ms)).claim is Claim.RUN


async def test_renewing_holds_the_job_against_others(worker: Named, job: Job) -> None:
    await worker("a").claim(job.id, job.deadline_ms)
    await job.lapse()
    assert await worker("a").renew(job.id, job.deadline_ms, 1, None) is Hold.HELD
    assert (await worker("b").claim(job.id, job.deadline_ms)).claim is Claim.ELSEWHERE


async def test_what_was_sent_is_told_to_the_next_attempt(worker: Named, job: Job) -> None:
    a = worker("a")
    await a.claim(job.id, job.deadline_ms)
    a.mark_sent(job.id, job.deadline_ms)
    await job.lapse()
    assert (await worker("b").claim(job.id, job.deadline_ms)).sent_tokens == 1
    await job.lapse()
    await worker("c").claim(job.id, job.deadline_ms)
    await worker("c").renew(job.id, job.deadline_ms, 3, 17)
    worker("c").mark_sent(job.id, job.deadline_ms)
    await job.lapse()
    assert (await worker("d").claim(job.id, job.deadline_ms)).sent_tokens == 17


async def test_nothing_sent_is_not_zero_tokens_sent(worker: Named, job: Job) -> None:
    await worker("a").claim(job.id, job.deadline_ms)
    await worker("a").renew(job.id, job.deadline_ms, 1, None)
    await job.lapse()
    assert (await worker("b").claim(job.id, job.deadline_ms)).sent_tokens is None
    await worker("b").renew(job.id, job.deadline_ms, 2, 0)
    await job.lapse()
    assert (await worker("c").claim(job.id, job.deadline_ms)).sent_tokens == 0


async def test_of_many_ends_the_first_stands(worker: Named, job: Job) -> None:
    await worker("a").claim(job.id, job.deadline_ms)
    ends = await asyncio.gather(*[worker(f"w{i}").finish(job.id, b"end %d" % i) for i in range(20)])
    assert len(set(ends)) == 1
    assert await job.field("end") == ends[0]
    claimed = await worker("b").claim(job.id, job.deadline_ms)
    assert (claimed.claim, claimed.end) == (Claim.ENDED, ends[0])


async def test_a_run_whose_job_has_ended_elsewhere_is_lost(worker: Named, job: Job) -> None:
    await worker("a").claim(job.id, job.deadline_ms)
    await worker("b").finish(job.id, b"end")
    assert await worker("a").renew(job.id, job.deadline_ms, 1, None) is Hold.LOST


async def test_a_job_cancelled_before_it_is_claimed_is_known_as_cancelled(line: Line, worker: Named, job: Job) -> None:
    assert await cancel(line, job.id, LANE, job.deadline_ms) is True
    claimed = await worker("a").claim(job.id, job.deadline_ms)
    assert (claimed.claim, claimed.cancelled, claimed.attempt) == (Claim.RUN, True, 1)


async def test_a_cancel_reaches_the_lane_and_the_next_renewal(
    line: Line, redis_url: str, worker: Named, job: Job
) -> None:
    heard: list[bytes] = []
    subscription = Subscription(redis_url, line, {cancel_channel(LANE): heard.append}, lambda: None)
    await subscription.open()
    await worker("a").claim(job.id, job.deadline_ms)
    assert await cancel(line, job.id, LANE, job.deadline_ms) is True
    await eventually(lambda: heard == [job.id.encode()])
    assert await worker("a").renew(job.id, job.deadline_ms, 1, None) is Hold.CANCELLED
    await worker("a").finish(job.id, b"end")
    assert await cancel(line, job.id, LANE, job.deadline_ms) is False
    await subscription.close()
    assert heard == [job.id.encode()]


@pytest.mark.parametrize("left_ms", [60_000, -1_000, -KEEP_AFTER_END_MS - 1_000])
async def test_every_record_has_an_end_of_its_own_however_late_it_is_written(
    line: Line, worker: Named, job: Job, left_ms: int
) -> None:
    """A lane that nobody worked on over night is full of jobs long past their deadlines."""
    deadline_ms = now_ms() + left_ms
    most_ms = max(left_ms, 0) + KEEP_AFTER_END_MS
    a = worker("a")
    steps = {
        "cancel": lambda: cancel(line, job.id, LANE, deadline_ms),
        "claim": lambda: a.claim(job.id, deadline_ms),
        "renew": lambda: a.renew(job.id, deadline_ms, 1, 5),
        "finish": lambda: a.finish(job.id, b"end"),
    }
    for name, step in steps.items():
        await step()
        assert await job.ttl_ms() <= most_ms, name
        assert await job.ttl_ms() != -1, name
    for name in ("renew", "finish"):
        await job.is_forgotten()
        await steps[name]()
        assert 0 < await job.ttl_ms() <= most_ms, name
    await job.is_forgotten()
    a.mark_sent(job.id, deadline_ms)
    assert await job.ttl_ms() != -1
    await job.is_forgotten()
    claimed = await a.claim(job.id, deadline_ms)
    assert claimed.attempt == 1
    assert 0 < await job.ttl_ms() <= most_ms


async def test_an_end_is_kept_for_a_while_and_not_until_the_deadline(worker: Named, job: Job) -> None:
    job.deadline_ms = now_ms() + 3_600_000
    await worker("a").claim(job.id, job.deadline_ms)
    await worker("a").finish(job.id, b"end")
    assert KEEP_AFTER_END_MS - 1_000 < await job.ttl_ms() <= KEEP_AFTER_END_MS


async def test_a_record_that_redis_forgot_is_written_anew_by_the_worker_that_holds_the_job(
    worker: Named, job: Job
) -> None:
    """Or the run would be given up with nobody else to run it."""
    a = worker("a")
    await a.claim(job.id, job.deadline_ms)
    await job.lapse()
    await a.claim(job.id, job.deadline_ms)
    await job.is_forgotten()
    assert await a.renew(job.id, job.deadline_ms, 2, 9) is Hold.HELD
    assert (await worker("b").claim(job.id, job.deadline_ms)).claim is Claim.ELSEWHERE
    await job.lapse()
    claimed = await worker("b").claim(job.id, job.deadline_ms)
    assert (claimed.attempt, claimed.sent_tokens) == (3, 9)
    assert await a.renew(job.id, job.deadline_ms, 2, 10) is Hold.LOST


async def test_a_first_chunk_noted_on_a_forgotten_record_does_not_cost_the_run_its_job(worker: Named, job: Job) -> None:
    a = worker("a")
    await a.claim(job.id, job.deadline_ms)
    await job.is_forgotten()
    a.mark_sent(job.id, job.deadline_ms)
    assert await a.renew(job.id, job.deadline_ms, 1, 3) is Hold.HELD
    assert await job.field("sent_tokens") == b"3"


async def test_the_note_of_a_first_chunk_is_carried_out_before_what_is_sent_after_it(worker: Named, job: Job) -> None:
    for _ in range(100):
        worker("a").mark_sent(job.id, job.deadline_ms)
        assert await job.line.call("HGET", job.key, "sent_tokens") == b"1"
        await job.is_forgotten()
