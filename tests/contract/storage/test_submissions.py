"""What is known of submissions: queued once at every delivery, and once for an idempotency key."""

import secrets
from collections.abc import AsyncIterator

import pytest

from storage.line import Line
from storage.submissions import Claimed, Found, Origin, Submissions, submission_key

LATER_MS = 4_000_000_000_000


@pytest.fixture
async def known(redis_url: str) -> AsyncIterator[Submissions]:
    line = Line(redis_url)
    await line.open()
    yield Submissions(line)
    await line.close()


def an_origin(offset: int = 7, timestamp_ms: int = 1000) -> Origin:
    return Origin(f"test.{secrets.token_hex(4)}", 0, offset, timestamp_ms)


def a_key() -> str:
    return submission_key("acme", secrets.token_hex(8))


async def claim(known: Submissions, origin: Origin, job_id: str, key: str | None = None, mark: str = "m") -> Claimed:
    return await known.claim(origin, job_id, b"accepted", LATER_MS, key=key, fingerprint=mark)


async def test_what_was_queued_is_not_new_when_it_comes_again_until_it_is_committed(known: Submissions) -> None:
    origin, job = an_origin(), f"job_{secrets.token_hex(8)}"
    assert (await claim(known, origin, job)).found is Found.NEW
    assert (await claim(known, origin, job)).found is Found.AGAIN, "not yet acknowledged, it must be queued again"
    await known.queued(origin)
    assert (await claim(known, origin, job)).found is Found.QUEUED
    await known.committed(origin.topic, origin.partition, origin.offset)
    assert (await claim(known, origin, job)).found is Found.QUEUED, "a position is the first that is not committed"
    await known.committed(origin.topic, origin.partition, origin.offset + 1)
    assert (await claim(known, origin, job)).found is Found.NEW
    await known.close(job)


async def test_what_was_answered_is_done_with_although_nobody_noted_that_it_was_queued(known: Submissions) -> None:
    origin, job = an_origin(), f"job_{secrets.token_hex(8)}"
    await claim(known, origin, job)
    await known.close(job)
    assert (await claim(known, origin, job)).found is Found.QUEUED
    await known.committed(origin.topic, origin.partition, origin.offset + 1)
    assert (await claim(known, origin, job)).found is Found.NEW, "nothing of it is kept"
    await known.close(job)


async def test_what_was_withdrawn_is_new_when_it_comes_again(known: Submissions) -> None:
    origin, job = an_origin(), f"job_{secrets.token_hex(8)}"
    await claim(known, origin, job)
    await known.withdraw(origin, job, None)
    assert await known.accepted(job) is None
    assert (await claim(known, origin, job)).found is Found.NEW
    await known.close(job)


async def test_a_topic_made_anew_has_nothing_queued(known: Submissions) -> None:
    origin, job = an_origin(timestamp_ms=1000), f"job_{secrets.token_hex(8)}"
    await known.queued(origin)
    assert (await claim(known, origin._replace(timestamp_ms=2000), job)).found is Found.NEW
    await known.close(job)


async def test_a_key_leads_to_its_first_job_and_that_jobs_result(known: Submissions) -> None:
    key, first, second = a_key(), f"job_{secrets.token_hex(8)}", f"job_{secrets.token_hex(8)}"
    assert (await claim(known, an_origin(), first, key, "a")).found is Found.NEW
    assert await claim(known, an_origin(), second, key, "b") == Claimed(Found.TWIN, first, "a", b"")
    await known.remember(first, key, b"result")
    await known.remember(first, key, b"another, of a reply that came twice")
    await known.close(first)
    assert await claim(known, an_origin(), second, key, "b") == Claimed(Found.TWIN, first, "a", b"result")
    assert await known.accepted(second) is None, "a twin is never a job"


async def test_a_key_whose_job_failed_is_free_again_and_only_its_own_job_frees_it(known: Submissions) -> None:
    key, first, second = a_key(), f"job_{secrets.token_hex(8)}", f"job_{secrets.token_hex(8)}"
    await claim(known, an_origin(), first, key)
    await known.withdraw(an_origin(), first, key)
    assert await known.accepted(first) is None
    assert (await claim(known, an_origin(), second, key)).found is Found.NEW
    await known.withdraw(an_origin(), first, key)
    assert (await claim(known, an_origin(), first, key)).job_id == second
    await known.close(second)


async def test_what_nobody_ended_is_found_when_it_is_due(known: Submissions) -> None:
    job = f"job_{secrets.token_hex(8)}"
    await known.claim(an_origin(), job, b"accepted", 0, key=None, fingerprint="")
    assert job in await known.take_overdue()
    assert job not in await known.take_overdue(), "it is left to who took it"
    assert await known.accepted(job) == b"accepted"
    await known.close(job)
    assert await known.accepted(job) is None
