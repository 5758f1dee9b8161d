"""A client that leaves: the engine stops, the slot is free, what was generated is charged."""

import asyncio
import time

import pytest

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.asking import PATH, body, streaming
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

GONE_WITHIN_S = 2.0


async def test_before_the_first_chunk_nothing_is_charged_and_the_engine_stops(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=1))
    stack.upstream.script(Reply([asyncio.Event()]))
    async with stack.client(key.secret) as http:
        asking = asyncio.create_task(http.post(PATH, json=body(stream=True)))
        asked = await stack.upstream.arrived(1)
        assert await stack.slots_held(key.key.account) == 1
        asking.cancel()
        async with asyncio.timeout(GONE_WITHIN_S):
            await asked.gone.wait()
        await stack.until_free(key.key.account, GONE_WITHIN_S)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("cancelled", 0)
    assert (charge.event.usage.input_tokens, charge.event.usage.output_tokens) == (0, 0)


async def test_a_disconnect_in_a_stream_reaches_the_engine_and_is_charged(stack: Stack, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=1))
    stack.upstream.script(Reply([upstream.opening(), *map(upstream.text, "abc"), asyncio.Event()]))
    async with stack.client(key.secret) as http:
        async with streaming(http) as stream:
            await stream.until_text("abc")
        left_at = time.monotonic()
        asked = await stack.upstream.arrived(1)
        async with asyncio.timeout(GONE_WITHIN_S):
            await asked.gone.wait()
        await stack.until_free(key.key.account, GONE_WITHIN_S)
        assert time.monotonic() - left_at < GONE_WITHIN_S
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.end == "cancelled"
    # Three pieces were seen; the question, "Greet me.", has nine bytes: two tokens of four.
    assert charge.event.usage.estimated
    assert (charge.event.usage.input_tokens, charge.event.usage.output_tokens) == (2, 3)
    assert charge.cost_microusd == 2 * 1 + 3 * 2


async def test_a_disconnect_before_a_whole_answer_is_charged_for_what_was_generated(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([upstream.opening(), *map(upstream.text, "abcd"), asyncio.Event()]))
    async with stack.client(key.secret) as http:
        asking = asyncio.create_task(http.post(PATH, json=body()))
        asked = await stack.upstream.arrived(1)
        await asked.held.wait()
        asking.cancel()
        async with asyncio.timeout(GONE_WITHIN_S):
            await asked.gone.wait()
        await stack.until_free(key.key.account, GONE_WITHIN_S)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens) == ("cancelled", 4)


async def test_a_close_right_after_the_last_chunk_is_a_success(stack: Stack, key: NewKey) -> None:
    """The engine's own count comes after the last chunk; the client has all it wants by then."""
    count = asyncio.Event()
    stack.upstream.script(
        Reply(
            [
                upstream.opening(),
                upstream.text("done"),
                upstream.finish(),
                count,
                upstream.usage(1_000, 100),
                upstream.DONE,
            ]
        )
    )
    left_before = await stack.metric("penstock_ingress_disconnects_total")
    async with stack.client(key.secret) as http, streaming(http) as stream:
        await stream.until_finished()
    await until(lambda: stack.metric("penstock_ingress_disconnects_total"), lambda left: left == left_before + 1)
    count.set()
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("completed", 1_000 * 1 + 100 * 2)


async def test_a_count_that_never_comes_does_not_hold_the_job_of_a_client_that_left(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([upstream.opening(), upstream.text("done"), upstream.finish(), asyncio.Event()]))
    async with stack.client(key.secret) as http, streaming(http) as stream:
        await stream.until_finished()
    asked = await stack.upstream.arrived(1)
    async with asyncio.timeout(2 * GONE_WITHIN_S):
        await asked.gone.wait()
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens) == ("cancelled", 1)


async def test_fifty_clients_that_leave_at_once_leave_nothing_behind(stack: Stack, key: NewKey) -> None:
    stack.upstream.otherwise = Reply([upstream.opening(), upstream.text("a"), asyncio.Event()])

    async def leave(streamed: bool) -> None:
        async with stack.client(key.secret) as http:
            if streamed:
                async with streaming(http) as stream:
                    await stream.until_text("a")
            else:
                asking = asyncio.create_task(http.post(PATH, json=body()))
                await stack.upstream.arrived(50)
                asking.cancel()

    await asyncio.gather(*[leave(streamed=number % 2 == 0) for number in range(50)])
    await stack.until_free(key.key.account)
    await stack.until_idle()
    for number in range(1, 51):
        asked = await stack.upstream.arrived(number)
        async with asyncio.timeout(GONE_WITHIN_S):
            await asked.gone.wait()
    charges = await stack.charges(key.key.account, 50)
    assert {charge.event.end for charge in charges} == {"cancelled"}
    assert len({charge.event.job_id for charge in charges}) == 50
