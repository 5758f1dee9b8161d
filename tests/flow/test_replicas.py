"""A model at three addresses: where requests go, and what becomes of them when an address goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest
import pytest_asyncio

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests import upstream
from tests.asking import DONE, PATH, ask, error_of, streaming
from tests.stack import Stack, running_stack, until
from tests.upstream import Reply, Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")

SYSTEM: Final = "You keep a lighthouse and answer whoever asks you about the sea. " * 60
"""Long enough for its prefix to be worth a way."""


def pool(servers: list[Upstream], **fields: Any) -> dict[str, Any]:
    first, *others = [server.url for server in servers]
    timeouts = {"connect_s": 2, "first_chunk_s": 20, "silence_s": 20}
    price = {"input_usd_per_mtok": 10, "cached_input_usd_per_mtok": 1, "output_usd_per_mtok": 20}
    return {
        "engine": "vllm",
        "base_url": first,
        "replicas": others,
        "timeouts": timeouts,
        "price": price,
        "context_tokens": 100_000,
        **fields,
    }


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def running() -> AsyncIterator[list[Upstream]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Upstream()) for _ in range(3)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pooled(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram, running: list[Upstream]
) -> AsyncIterator[Stack]:
    rows = [
        pool(running, id="pool", abilities=["tools", "reasoning", "count_tokens"]),
        pool(running, id="pool-or-scripted", fallbacks=["scripted"]),
    ]
    async with running_stack(tmp_path_factory.mktemp("pooled"), kafka_program, rows=rows) as stack:
        yield stack
    for part in ("ingress", "worker", "streams"):
        assert "Traceback" not in stack.log(part), f"{part}: an address that goes is no fault of the platform's"


@pytest_asyncio.fixture(loop_scope="session")
async def servers(pooled: Stack, running: list[Upstream]) -> list[Upstream]:
    """The three, as new, each of which the worker asks."""
    mender = await pooled.create_key("mender")
    for server in running:
        server.reset()

    async def asked() -> bool:
        async with pooled.client(mender.secret) as http:
            for model in ("pool", "pool-or-scripted"):
                await asyncio.gather(*[ask(http, model) for _ in range(6)])
        models = [{asked.body["model"] for asked in server.asked} for server in running]
        return all(len(each) == 2 for each in models)

    await until(asked, lambda all_were: all_were, within_s=60)
    for server in running:
        server.reset()
    return running


@pytest_asyncio.fixture(loop_scope="session")
async def key(pooled: Stack, account: str) -> NewKey:
    return await pooled.create_key(account)


def counts(servers: list[Upstream]) -> list[int]:
    return [len(server.asked) for server in servers]


def script_all(servers: list[Upstream], reply: Reply) -> None:
    for server in servers:
        server.otherwise = reply


async def who_was_asked(servers: list[Upstream]) -> Upstream:
    """The one server that has a request, once one has."""

    async def asked() -> list[Upstream]:
        return [server for server in servers if server.asked]

    (server,) = await until(asked, bool)
    found: Upstream = server
    return found


async def stop(server: Upstream) -> None:
    """As kill -9 does it: whoever is connected is reset, and whoever comes is refused."""
    await server.__aexit__(None, None, None)


async def test_requests_at_once_are_spread_evenly(pooled: Stack, key: NewKey, servers: list[Upstream]) -> None:
    release = asyncio.Event()
    script_all(servers, Reply([upstream.opening(), release, *upstream.answer("a").steps[1:]]))
    async with pooled.client(key.secret) as http:
        asking = [asyncio.create_task(ask(http, "pool")) for _ in range(30)]
        await asyncio.gather(*[server.arrived(10) for server in servers])
        release.set()
        answers = await asyncio.gather(*asking)
    assert counts(servers) == [10, 10, 10]
    assert {answer.status_code for answer in answers} == {200}


async def test_a_conversation_goes_back_to_where_it_began(pooled: Stack, key: NewKey, servers: list[Upstream]) -> None:
    homes: list[list[int]] = []
    async with pooled.client(key.secret) as http:
        for number in range(9):
            messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"I am ship {number}."}]
            for server in servers:
                server.asked.clear()
            for turn in range(3):
                response = await http.post(PATH, json={"model": "pool", "messages": messages})
                assert response.status_code == 200
                said = response.json()["choices"][0]["message"]["content"]
                messages += [{"role": "assistant", "content": said}, {"role": "user", "content": f"And {turn}?"}]
            homes.append(counts(servers))
    assert {tuple(sorted(each)) for each in homes} == {(0, 0, 3)}, "all three turns at one"
    assert len({tuple(each) for each in homes}) > 1, "and not all conversations at the same"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_server_that_dies_before_its_output_is_stood_in_for(
    pooled: Stack, key: NewKey, servers: list[Upstream], streamed: bool
) -> None:
    script_all(servers, Reply([asyncio.Event()]))
    async with pooled.client(key.secret) as http:
        asking = asyncio.create_task(ask(http, "pool", stream=streamed))
        dying = await who_was_asked(servers)
        script_all([server for server in servers if server is not dying], upstream.answer("still", " here"))
        await stop(dying)
        response = await asking
    await dying.__aenter__()
    assert response.status_code == 200
    assert "still" in response.text
    assert (DONE in response.text) is streamed
    assert sum(counts(servers)) == 2
    (charge,) = await pooled.charges(key.key.account, 1)
    # 7 tokens in and 2 out, at 10 and 20 dollars a million.
    assert (charge.event.end, charge.cost_microusd) == ("completed", 110)


async def test_a_server_that_dies_in_a_stream_ends_it_with_an_error(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    script_all(servers, Reply([upstream.opening(), *map(upstream.text, "abc"), asyncio.Event()]))
    async with pooled.client(key.secret) as http, streaming(http, "pool") as stream:
        await stream.until_text("abc")
        dying = await who_was_asked(servers)
        await stop(dying)
        events = await stream.rest()
    await dying.__aenter__()
    assert DONE not in events
    assert events[-1]["error"]["code"] == "stream_cut"
    assert stream.text == "abc"
    assert sum(counts(servers)) == 1, "what was sent is not generated again"
    (charge,) = await pooled.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens, charge.event.usage.estimated) == ("failed", 3, True)


NONSENSE: Final = {
    "a page": Reply([b"<h1>Welcome to nginx!</h1>"], headers={"Content-Type": "text/html"}),
    "no stream": Reply([b'{"detail": "ok"}'], headers={"Content-Type": "application/json"}),
    "no events": Reply([b"data: {{{\n\n"]),
    "an end without a word": Reply([upstream.DONE]),
    "an application that is not there": upstream.refusal(404, {"message": "Path '/pool' not found."}),
    "a failure": upstream.refusal(500, {"message": "EngineDeadError"}),
}


@pytest.mark.parametrize("reply", NONSENSE.values(), ids=NONSENSE.keys())
async def test_a_server_that_answers_nonsense_is_asked_no_more_until_it_does_not(
    pooled: Stack, key: NewKey, servers: list[Upstream], reply: Reply
) -> None:
    mad, *_ = servers
    mad.otherwise = reply

    async def out() -> int:
        async with pooled.client(key.secret) as http:
            answers = await asyncio.gather(*[ask(http, "pool") for _ in range(6)])
        assert {answer.status_code for answer in answers} == {200}, "nobody hears of it"
        return pooled.log("worker").count('"event": "replica_out"')

    before = pooled.log("worker").count('"event": "replica_out"')
    await until(out, lambda count: count > before)
    assert f'"address": "127.0.0.1:{mad.port}"' in pooled.log("worker")


async def test_one_without_room_is_left_alone_for_its_retry_after(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    full, *others = servers
    full.otherwise = upstream.refusal(503, {"message": "Too many requests are queued."}, **{"Retry-After": "3"})
    async with pooled.client(key.secret) as http:
        while not full.asked:
            assert (await ask(http, "pool")).status_code == 200
        before = sum(counts(others))
        for _ in range(20):
            assert (await ask(http, "pool")).status_code == 200
    assert (len(full.asked), sum(counts(others)) - before) == (1, 20)


async def test_a_server_whose_health_is_gone_gets_no_requests_and_keeps_its_streams(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    """So one is taken out of service: its health route answers 503, and what runs there ends in peace."""
    release = asyncio.Event()
    script_all(servers, Reply([upstream.opening(), upstream.text("a"), release, *upstream.answer("b").steps[1:]]))
    async with pooled.client(key.secret) as http, streaming(http, "pool") as stream:
        await stream.until_text("a")
        leaving = await who_was_asked(servers)
        others = [server for server in servers if server is not leaving]
        script_all(others, upstream.answer("well"))
        leaving.health = 503
        address = f'"address": "127.0.0.1:{leaving.port}", "by": "probe"'

        async def left() -> bool:
            return any('"replica_out"' in line and address in line for line in pooled.log("worker").splitlines())

        await until(left, lambda gone: gone)
        for _ in range(10):
            assert (await ask(http, "pool")).status_code == 200
        assert (len(leaving.asked), sum(counts(others))) == (1, 10)
        release.set()
        events = await stream.rest()
    assert events[-1] == DONE
    assert stream.text == "ab"


async def test_when_all_are_gone_it_is_503_and_when_they_are_back_requests_are_served(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    for server in servers:
        await stop(server)
    async with pooled.client(key.secret) as http:
        for streamed in (False, True):
            response = await ask(http, "pool", stream=streamed)
            error = error_of(response, 503)
            assert (error["code"], error["type"]) == ("no_replica", "overloaded_error")
            assert "'pool'" in error["message"]
            assert int(response.headers["retry-after"]) >= 1
            assert response.headers["x-should-retry"] == "true"
        fields = {"model": "pool", "max_tokens": 9, "messages": [{"role": "user", "content": "Ahoy"}]}
        message = await http.post("/v1/messages", json=fields)
        assert (message.status_code, message.json()["error"]["type"]) == (529, "overloaded_error")
        assert (await ask(http, "pool-or-scripted")).json()["model"] == "scripted", "a fallback is asked as ever"
        for server in servers:
            await server.__aenter__()

        async def served() -> int:
            return (await ask(http, "pool")).status_code

        await until(served, lambda status: status == 200, within_s=10)
    charges = await pooled.charges(key.key.account, 5)
    assert [charge.cost_microusd for charge in charges[:3]] == [0, 0, 0]


async def test_a_client_that_leaves_is_gone_at_the_server_too(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    script_all(servers, Reply([upstream.opening(), upstream.text("a"), asyncio.Event()]))
    async with pooled.client(key.secret) as http:
        async with streaming(http, "pool") as stream:
            await stream.until_text("a")
            server = await who_was_asked(servers)
        async with asyncio.timeout(10):
            await server.asked[0].gone.wait()


async def test_what_vllm_says_more_reaches_the_caller_and_the_price(
    pooled: Stack, key: NewKey, servers: list[Upstream]
) -> None:
    thought = upstream.chunk({"index": 0, "delta": {"reasoning": "Hm."}, "finish_reason": None})
    steps = [upstream.opening(), thought, upstream.text("4"), upstream.finish()]
    script_all(servers, Reply([*steps, upstream.usage(100, 5, cached_tokens=64), upstream.DONE]))
    async with pooled.client(key.secret) as http:
        answer = (await ask(http, "pool", reasoning_effort="low")).json()
    message, usage = answer["choices"][0]["message"], answer["usage"]
    assert (message["reasoning_content"], message["content"]) == ("Hm.", "4")
    assert usage["prompt_tokens_details"]["cached_tokens"] == 64
    (charge,) = await pooled.charges(key.key.account, 1)
    # 36 new at 10, 64 cached at 1, 5 out at 20 dollars a million.
    assert charge.cost_microusd == 360 + 64 + 100
    asked = (await who_was_asked(servers)).asked[0].body
    assert asked["chat_template_kwargs"]["enable_thinking"] is True
    assert (asked["stream_options"], asked["return_token_ids"]) == ({"include_usage": True}, True)


async def test_a_prompt_is_counted_by_one_of_them(pooled: Stack, key: NewKey, servers: list[Upstream]) -> None:
    count = Reply([b'{"count": 14, "max_model_len": 8192, "tokens": [1]}'], 200, {"Content-Type": "application/json"})
    script_all(servers, count)
    async with pooled.client(key.secret) as http:
        fields = {"model": "pool", "messages": [{"role": "user", "content": "Ahoy"}]}
        response = await http.post("/v1/messages/count_tokens", json=fields)
    assert response.json() == {"input_tokens": 14}
    assert [asked.target for server in servers for asked in server.asked] == ["/tokenize"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_server_that_falls_silent_is_found_by_its_probes_and_stood_in_for(
    pooled: Stack, key: NewKey, servers: list[Upstream], streamed: bool
) -> None:
    """Long before the row's twenty seconds for a first chunk are over."""
    for server in servers:
        server.mute = True
    async with pooled.client(key.secret) as http:
        asking = asyncio.create_task(ask(http, "pool", stream=streamed))
        silent = await who_was_asked(servers)
        for server in servers:
            server.mute = server is silent
        silent.health = 503
        async with asyncio.timeout(15):
            response = await asking
    assert response.status_code == 200
    assert "Hello" in response.text
    assert sum(counts(servers)) == 2
    (charge,) = await pooled.charges(key.key.account, 1)
    assert charge.event.end == "completed"
