"""The load generator against its own upstream, each as they run in a benchmark."""

from collections.abc import AsyncIterator

import pytest

from benchmarks.doors import CHAT
from benchmarks.http_client import Address, Connection
from benchmarks.instant import PACED
from benchmarks.load import Caller, Plan, Target, Wish, interleave
from benchmarks.upstream import Upstream, running_upstream


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with running_upstream(0) as running:
        yield running


def target(upstream: Upstream, name: str = "direct") -> Target:
    return Target(name, upstream.base_url, "none", "instant")


async def test_every_target_gets_its_share_of_the_plan(upstream: Upstream) -> None:
    callers = [Caller(target(upstream, name)) for name in ("one", "two")]
    seen = await interleave(callers, Plan(stream=True, at_once=4, requests=40, rounds=5), lambda: 0.0)
    for caller in callers:
        caller.close()
    assert {name: (len(one.answers), one.failures) for name, one in seen.items()} == {"one": (40, []), "two": (40, [])}
    assert all(len(one.rates) == 5 for one in seen.values())
    assert all(0 < answer.first_s <= answer.total_s for answer in seen["one"].answers)


async def test_a_client_that_leaves_is_seen_upstream_and_its_connection_is_used_again(upstream: Upstream) -> None:
    caller = Caller(target(upstream))
    answers = await caller.ask_all([Wish(PACED, stream=True, leave_after=2), Wish("instant", stream=True)] * 3, 1)
    caller.close()
    assert [(answer.left, answer.failure) for answer in answers] == [(True, None), (False, None)] * 3
    counts = await upstream.counts()
    assert (counts.asked, counts.finished, counts.left) == (6, 3, 3)


async def test_an_answer_without_content_is_a_failure(upstream: Upstream) -> None:
    connection = Connection(Address.parse(upstream.base_url, CHAT.path), CHAT)
    answer = await connection.ask(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", stream=False)
    connection.close()
    assert answer.failure == "an answer without content"


async def test_nobody_there_is_a_failure() -> None:
    answer = await Connection(Address("127.0.0.1", 1, "/"), CHAT).ask(b"", stream=True)
    assert answer.failure is not None
    assert answer.failure.startswith("cannot connect")
