"""A client that stops reading is dropped in bounded time, and its slot is free."""

import asyncio

import pytest

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.raw_client import connected
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIECE = "x" * 50_000


async def test_a_client_that_stops_reading_a_stream_is_dropped(stack: Stack, tight_door: str, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=1))
    stack.upstream.script(Reply([upstream.opening(), *[upstream.text(PIECE)] * 200, asyncio.Event()]))
    async with connected(tight_door) as client:
        await client.ask(key.secret, stream=True)
        assert (await client.read(15)).startswith(b"HTTP/1.1 200 OK")
        asked = await stack.upstream.arrived(1)
        # Two seconds without reading, a tick to notice it, a moment to get to the engine.
        async with asyncio.timeout(5):
            await asked.gone.wait()
        await stack.until_free(key.key.account)
        received = await client.rest()
    assert b"[DONE]" not in received
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.end == "cancelled"
    assert charge.event.usage.output_tokens == 200


async def test_a_client_that_does_not_read_the_end_is_dropped(stack: Stack, tight_door: str, key: NewKey) -> None:
    """The engine is done long before the client is; nothing more comes that could wake the ingress."""
    pieces = [
        upstream.opening(),
        *[upstream.text(PIECE)] * 200,
        upstream.finish(),
        upstream.usage(7, 200),
        upstream.DONE,
    ]
    stack.upstream.script(Reply(pieces))
    async with connected(tight_door) as client:
        await client.ask(key.secret, stream=True)
        (charge,) = await stack.charges(key.key.account, 1)
        assert (charge.event.end, charge.event.usage.output_tokens) == ("completed", 200)
        await stack.until_idle(tight_door)


async def test_a_client_that_reads_slowly_gets_everything(stack: Stack, tight_door: str, key: NewKey) -> None:
    """It takes longer than the patience for a stall, and never rests for so long."""
    pieces = [
        upstream.opening(),
        *[upstream.text(PIECE)] * 100,
        upstream.finish(),
        upstream.usage(7, 100),
        upstream.DONE,
    ]
    stack.upstream.script(Reply(pieces))
    received = bytearray()
    async with connected(tight_door) as client:
        await client.ask(key.secret, stream=True)
        while b"[DONE]" not in received[-200:]:
            received += await client.read(4_000)
            await asyncio.sleep(0.002)
    assert received.count(b"x" * 50_000) == 100


async def test_a_whole_answer_that_is_not_read_holds_no_slot(stack: Stack, tight_door: str, key: NewKey) -> None:
    await stack.set_limits(key.key.account, Limits(in_flight=1))
    pieces = [
        upstream.opening(),
        *[upstream.text(PIECE)] * 200,
        upstream.finish(),
        upstream.usage(7, 200),
        upstream.DONE,
    ]
    stack.upstream.script(Reply(pieces))
    async with connected(tight_door) as client:
        await client.ask(key.secret)
        await stack.charges(key.key.account, 1)
        await stack.until_free(key.key.account)
        await stack.until_idle(tight_door)


async def test_clients_that_stop_reading_are_counted(stack: Stack, tight_door: str, key: NewKey) -> None:
    before = await stack.metric("penstock_ingress_stalls_total", tight_door)
    before += await stack.metric("penstock_ingress_disconnects_total", tight_door)
    stack.upstream.script(Reply([upstream.opening(), *[upstream.text(PIECE)] * 200, asyncio.Event()]))

    async def dropped() -> float:
        stalls = await stack.metric("penstock_ingress_stalls_total", tight_door)
        return stalls + await stack.metric("penstock_ingress_disconnects_total", tight_door)

    async with connected(tight_door) as client:
        await client.ask(key.secret, stream=True)
        await until(dropped, lambda count: count == before + 1)
