"""An ingress that dies, or is told to end, while clients read."""

import asyncio
import signal

import httpx2
import pytest

from tests import upstream
from tests.asking import DONE, ask, error_of, streaming
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

PIECE_S = 0.1


async def test_killed_in_a_stream_the_engine_stops_and_the_charge_is_right_once(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    endless = [step for number in range(600) for step in (upstream.text(f"{number} "), PIECE_S)]
    breakable.upstream.script(Reply([upstream.opening(), *endless]))
    async with breakable.client(key.secret) as http, streaming(http) as stream:
        await stream.until_text("0 1 2 ")
        await breakable.kill("ingress")
        with pytest.raises(httpx2.TransportError):
            await stream.rest()
    await breakable.start("ingress")
    # A worker repeats what nobody heard for ten seconds: the ingress could have been deaf for a moment.
    async with asyncio.timeout(15):
        await breakable.upstream.asked[0].gone.wait()
    (charge,) = await breakable.charges(account, 1)
    assert charge.event.end == "cancelled"
    assert 3 <= charge.event.usage.output_tokens <= 160
    async with breakable.client(key.secret) as http:
        assert (await ask(http)).status_code == 200
    assert len(await breakable.charges(account, 2)) == 2


async def test_slots_are_held_as_long_as_the_process_lives_and_soon_free_after_it(
    breakable: Stack, account: str
) -> None:
    """The job's own deadline is far away."""
    key = await breakable.create_key(account)
    url = await breakable.start_door("ingress-2", PENSTOCK_SLOT_LEASE_S="2")
    release = asyncio.Event()
    breakable.upstream.script(Reply([upstream.opening(), upstream.text("a"), release, *upstream.answer("b").steps]))
    async with breakable.client(key.secret, url) as http, streaming(http) as stream:
        await stream.until_text("a")
        first_ms = await breakable.slot_ends_ms(account)
        await until(lambda: breakable.slot_ends_ms(account), lambda ends_ms: ends_ms > first_ms + 2_000)
        assert await breakable.slots_held(account) == 1
        await breakable.kill("ingress-2")
        with pytest.raises(httpx2.TransportError):
            await stream.rest()
    await breakable.until_free(account, within_s=3)
    release.set()
    assert len(await breakable.charges(account, 1)) == 1


async def test_killed_before_a_whole_answer_the_job_ends_and_is_charged_once(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.script(Reply([release, *upstream.answer("a", "b", "c").steps]))
    async with breakable.client(key.secret) as http:
        asking = asyncio.create_task(ask(http))
        await breakable.upstream.arrived(1)
        await breakable.kill("ingress")
        with pytest.raises(httpx2.TransportError):
            await asking
    release.set()
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens) == ("completed", 3)


async def test_told_to_end_it_answers_what_is_open_and_takes_nothing_new(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    held = Reply([upstream.opening(), upstream.text("a"), release, *upstream.answer("b").steps])
    breakable.upstream.script(held, held)
    async with breakable.client(key.secret) as http, streaming(http) as stream:
        await stream.until_text("a")
        whole = asyncio.create_task(ask(http))
        await breakable.upstream.arrived(2)
        breakable.signal("ingress", signal.SIGTERM)

        async def refuses() -> bool:
            try:
                async with breakable.client(key.secret) as other:
                    await other.get("/healthz")
            except httpx2.TransportError:
                return True
            return False

        await until(refuses, bool)
        release.set()
        events = await stream.rest()
        assert (stream.text, events[-1]) == ("ab", DONE)
        assert (await whole).json()["choices"][0]["message"]["content"] == "ab"
    assert await breakable.ended("ingress") == 0
    assert {charge.event.end for charge in await breakable.charges(account, 2)} == {"completed"}
    await breakable.until_free(account)


async def test_what_outlasts_the_patience_of_one_that_ends_is_told_so(breakable: Stack, account: str) -> None:
    """Law 2: a stream that was cut ends with an error event, never with what looks like a clean stop."""
    key = await breakable.create_key(account)
    url = await breakable.start_door("ingress-2", PENSTOCK_DRAIN_S="0.5")
    held = Reply([upstream.opening(), upstream.text("a"), asyncio.Event()])
    breakable.upstream.script(held, held)
    async with breakable.client(key.secret, url) as http, streaming(http) as stream:
        await stream.until_text("a")
        whole = asyncio.create_task(ask(http))
        await breakable.upstream.arrived(2)
        breakable.signal("ingress-2", signal.SIGTERM)
        events = await stream.rest()
        assert events[-1]["error"]["code"] == "overloaded"
        assert DONE not in events
        refused = await whole
        assert error_of(refused, 503)["code"] == "overloaded"
        assert int(refused.headers["retry-after"]) >= 1
    assert await breakable.ended("ingress-2") == 0
    async with asyncio.timeout(2):
        for asked in breakable.upstream.asked:
            await asked.gone.wait()
    await breakable.until_free(account)
    assert len(await breakable.charges(account, 2)) == 2


async def test_processes_share_a_port_and_one_may_die(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    await breakable.start("ingress-2")

    async def asked() -> int:
        async with breakable.client(key.secret) as http:
            return (await ask(http)).status_code

    assert set(await asyncio.gather(*[asked() for _ in range(20)])) == {200}
    await breakable.kill("ingress")
    assert [await asked() for _ in range(10)] == [200] * 10
