"""Kafka dies and comes back: what was accepted is answered or refused, and nothing hangs."""

import asyncio
import time

import pytest

from tests import upstream
from tests.asking import DONE, ask, error_of, streaming
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_requests_while_the_broker_restarts_are_answered_or_refused(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    async with breakable.client(key.secret, timeout_s=40) as http:
        assert (await ask(http)).status_code == 200
        await breakable.kill("kafka")
        asked_at = time.monotonic()
        asking = [asyncio.create_task(ask(http, stream=number % 2 == 0)) for number in range(20)]
        await breakable.start("kafka")
        answers = await asyncio.gather(*asking)
        assert time.monotonic() - asked_at < 30
        for answer in answers:
            if answer.status_code != 200:
                error_of(answer, 503)
                assert "retry-after" in answer.headers

        async def served() -> int:
            return (await ask(http)).status_code

        await until(served, lambda status: status == 200, within_s=15)
    await breakable.until_free(account)
    await breakable.until_idle()
    answered = sum(answer.status_code == 200 for answer in answers) + 2
    charges = await breakable.charges(account, answered)
    assert len({charge.event.job_id for charge in charges}) == len(charges)


async def test_a_stream_does_not_notice_and_is_charged_when_the_broker_is_back(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.script(Reply([upstream.opening(), upstream.text("a"), release, *upstream.answer("b").steps]))
    async with breakable.client(key.secret, timeout_s=40) as http, streaming(http) as stream:
        await stream.until_text("a")
        await breakable.kill("kafka")
        release.set()
        events = await stream.rest()
        assert (stream.text, events[-1]) == ("ab", DONE)
    await breakable.start("kafka")
    (charge,) = await breakable.charges(account, 1)
    assert charge.event.end == "completed"


@pytest.mark.slow
async def test_a_broker_that_stays_away_is_a_503_in_bounded_time(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    async with breakable.client(key.secret, timeout_s=40) as http:
        assert (await ask(http)).status_code == 200
        await breakable.kill("kafka")
        asked_at = time.monotonic()
        refused = await asyncio.gather(*[ask(http) for _ in range(5)])
        assert time.monotonic() - asked_at < 20
        for response in refused:
            assert error_of(response, 503)["code"] == "undecidable"
            assert "retry-after" in response.headers
        await breakable.until_free(account, within_s=10)
        await breakable.start("kafka")

        async def served() -> int:
            return (await ask(http)).status_code

        await until(served, lambda status: status == 200, within_s=15)
    # What was refused was cancelled, whether the log had taken it or not.
    charges = await breakable.charges(account, 2)
    assert sum(charge.cost_microusd > 0 for charge in charges) == 2
