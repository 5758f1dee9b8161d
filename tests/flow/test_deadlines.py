"""Law 4: work past its deadline, or cancelled, never reaches an engine, and its end is recorded."""

import asyncio
import time

import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import PATH, ask, body, error_of, streaming
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_upstream_that_never_answers_is_a_504_in_time(stack: Stack, key: NewKey, streamed: bool) -> None:
    stack.upstream.mute = True
    asked_at = time.monotonic()
    async with stack.client(key.secret) as http:
        error = error_of(await ask(http, "brief", stream=streamed), 504)
    assert 0.9 < time.monotonic() - asked_at < 2.5
    assert error["code"] == "deadline_exceeded"
    assert (await stack.upstream.arrived(1)).gone.is_set()
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("expired", 0)


async def test_a_deadline_in_a_stream_ends_it_with_an_error_and_charges_what_was_sent(
    stack: Stack, key: NewKey
) -> None:
    stack.upstream.script(Reply([upstream.opening(), *map(upstream.text, "abc"), asyncio.Event()]))
    async with stack.client(key.secret) as http, streaming(http, "brief") as stream:
        events = await stream.rest()
    assert stream.text == "abc"
    assert events[-1]["error"]["code"] == "deadline_exceeded"
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens) == ("expired", 3)


@pytest.mark.usefixtures("session_narrow")
async def test_a_request_queued_past_its_deadline_never_reaches_the_engine(stack: Stack, key: NewKey) -> None:
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *upstream.answer("first").steps]))
    async with stack.client(key.secret) as http:
        first = asyncio.create_task(ask(http, "narrow"))
        await stack.upstream.arrived(1)
        # The lane's one slot is taken: the ingress itself tells when the time of what is queued is over.
        error = error_of(await ask(http, "narrow-brief"), 504)
        assert error["code"] == "deadline_exceeded"
        release.set()
        assert (await first).json()["choices"][0]["message"]["content"] == "first"
    charges = await stack.charges(key.key.account, 2)
    assert sorted((charge.event.model, charge.event.end) for charge in charges) == [
        ("narrow", "completed"),
        ("narrow-brief", "expired"),
    ]
    assert [charge.cost_microusd for charge in charges if charge.event.model == "narrow-brief"] == [0]
    assert len(stack.upstream.asked) == 1


@pytest.mark.usefixtures("session_narrow")
async def test_a_request_cancelled_while_it_is_queued_never_reaches_the_engine(stack: Stack, key: NewKey) -> None:
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *upstream.answer("first").steps]))
    async with stack.client(key.secret) as http:
        first = asyncio.create_task(ask(http, "narrow"))
        await stack.upstream.arrived(1)
        second = asyncio.create_task(http.post(PATH, json=body("narrow")))
        await until(lambda: stack.slots_held(key.key.account), lambda held: held == 2)
        second.cancel()
        await until(lambda: stack.slots_held(key.key.account), lambda held: held == 1, within_s=2)
        release.set()
        assert (await first).status_code == 200
    charges = await stack.charges(key.key.account, 2)
    assert [(charge.event.end, charge.cost_microusd > 0) for charge in charges] == [
        ("completed", True),
        ("cancelled", False),
    ]
    assert len(stack.upstream.asked) == 1
