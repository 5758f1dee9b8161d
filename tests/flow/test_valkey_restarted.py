"""Valkey dies and comes back: what was open ends, what is new waits a moment, and nobody is restarted."""

import asyncio

import httpx2
import pytest

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.asking import DONE, ask, error_of, streaming
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def until_served(stack: Stack, http: httpx2.AsyncClient, within_s: float = 10) -> None:
    """Returns once a request is answered again; until then each is refused and told when to come again."""

    async def asked() -> int:
        response = await ask(http)
        if response.status_code != 200:
            assert "retry-after" in response.headers
            assert error_of(response, 503)["code"] in ("undecidable", "overloaded")
        return response.status_code

    await until(asked, lambda status: status == 200, within_s)


async def test_streams_go_on_and_new_requests_are_refused_for_a_moment(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.otherwise = Reply(
        [upstream.opening(), upstream.text("a"), release, *map(upstream.text, "bc"), upstream.finish(),
         upstream.usage(7, 3), upstream.DONE]
    )  # fmt: skip
    told: list[tuple[str, object]] = []

    async def read(http: httpx2.AsyncClient, begun: asyncio.Event) -> None:
        async with streaming(http) as stream:
            await stream.until_text("a")
            begun.set()
            events = await stream.rest()
            told.append((stream.text, events[-1]))

    async with breakable.client(key.secret, timeout_s=40) as http:
        begun = [asyncio.Event() for _ in range(5)]
        streams = [asyncio.create_task(read(http, each)) for each in begun]
        await asyncio.gather(*[each.wait() for each in begun])
        await breakable.kill("valkey")
        refused = await ask(http)
        assert error_of(refused, 503)["code"] == "undecidable"
        assert int(refused.headers["retry-after"]) >= 1
        breakable.upstream.otherwise = upstream.answer("new")
        release.set()
        await breakable.upstream.answered(5)
        await breakable.start("valkey")
        await asyncio.gather(*streams)
        await until_served(breakable, http)
    # The worker repeats what nobody heard, so no piece is missing and none comes twice.
    assert told == [("abc", DONE)] * 5
    ended = [charge.event for charge in await breakable.charges(account, 6)]
    assert [event.usage.output_tokens for event in ended if event.usage.output_tokens == 3] == [3] * 5
    assert len({event.job_id for event in ended}) == len(ended)
    await breakable.until_free(account)
    await breakable.until_idle()


async def test_a_client_that_leaves_while_valkey_is_away_still_stops_its_engine(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    await breakable.set_limits(account, Limits(in_flight=1))
    breakable.upstream.script(Reply([upstream.opening(), upstream.text("a"), asyncio.Event()]))
    async with breakable.client(key.secret) as http:
        async with streaming(http) as stream:
            await stream.until_text("a")
            await breakable.kill("valkey")
        await breakable.start("valkey")
        async with asyncio.timeout(8):
            await breakable.upstream.asked[0].gone.wait()
        await breakable.until_free(account, within_s=8)
        await until_served(breakable, http)


async def test_whole_answers_survive_a_restart_that_falls_between(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.otherwise = Reply([release, *upstream.answer("survived").steps])
    async with breakable.client(key.secret, timeout_s=40) as http:
        asking = [asyncio.create_task(ask(http)) for _ in range(10)]
        await breakable.upstream.arrived(10)
        await breakable.kill("valkey")
        await breakable.start("valkey")
        release.set()
        answers = await asyncio.gather(*asking)
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["survived"] * 10
    assert len(breakable.upstream.asked) == 10
    assert len(await breakable.charges(account, 10)) == 10


async def test_limits_and_revocations_are_known_after_a_restart(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    other: NewKey = await breakable.create_key(f"{account}-other")
    await breakable.set_limits(account, Limits(requests_per_min=2))
    async with breakable.client(key.secret) as http, breakable.client(other.secret) as other_http:
        assert [(await ask(http)).status_code for _ in range(3)] == [200, 200, 429]
        await breakable.kill("valkey")
        await breakable.start("valkey")
        await until_served(breakable, other_http)
        assert (await ask(http)).status_code == 429
        await breakable.revoke_key(other.key.id)

        async def status() -> int:
            return (await other_http.get("/v1/models")).status_code

        await until(status, lambda code: code == 401, within_s=5)


async def test_a_key_revoked_while_nobody_could_hear_it_is_refused_afterwards(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    async with breakable.client(key.secret) as http:
        assert (await ask(http)).status_code == 200
        await breakable.kill("valkey")
        await breakable.revoke_key_unheard(key.key.id)
        await breakable.start("valkey")

        async def status() -> int:
            return (await http.get("/v1/models")).status_code

        await until(status, lambda code: code == 401, within_s=10)
