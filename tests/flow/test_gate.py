"""Law 6, behind the door: an engine is given what it can run, and what has waited too long is shed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest
import pytest_asyncio

from benchmarks.seated import MODEL, Engine
from schemas.lanes import REPORT_S
from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from tests.asking import QUESTION
from tests.stack import Stack, running_stack, until
from workers.engine_signals.limit import FIRST

pytestmark = pytest.mark.asyncio(loop_scope="session")

SEATS: Final = 2
PATIENCE_S: Final = 2

DOORS: Final[dict[str, dict[str, Any]]] = {
    "/v1/chat/completions": {"messages": QUESTION},
    "/v1/completions": {"prompt": "Greet me."},
    "/v1/responses": {"input": "Greet me."},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 64},
}


WAYS: Final = [(path, stream) for path in ("/v1/chat/completions", "/v1/messages") for stream in (False, True)]


@dataclass
class Gated:
    """A stack with two engines of few seats: `narrow` in a lane alone, `beside` in one with the model `scripted`."""

    stack: Stack
    narrow: Engine
    beside: Engine
    patient_door: str


@asynccontextmanager
async def seated() -> AsyncIterator[tuple[Engine, str]]:
    engine, port = Engine(SEATS, pace_s=0.02), free_port()
    server = await engine.listen(port)
    try:
        yield engine, f"http://127.0.0.1:{port}/v1"
    finally:
        server.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def gated(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Gated]:
    async with AsyncExitStack() as keep:
        narrow, narrow_url = await keep.enter_async_context(seated())
        beside, beside_url = await keep.enter_async_context(seated())
        row = {"engine": "vllm", "upstream_model": MODEL}
        rows = [
            {"id": "narrow", "base_url": narrow_url, "lane": "text.narrow", **row},
            {"id": "beside", "base_url": beside_url, **row},
        ]
        folder = tmp_path_factory.mktemp("gated")
        stack = await keep.enter_async_context(
            running_stack(
                *(folder, kafka_program, "ingress", "worker", "narrow", "streams"),
                rows=rows,
                PENSTOCK_MAX_QUEUE_WAIT_S=str(PATIENCE_S),
            )
        )
        patient = await stack.start_door("ingress-patient", PENSTOCK_MAX_QUEUE_WAIT_S="600")
        yield Gated(stack, narrow, beside, patient)


@pytest_asyncio.fixture(loop_scope="session")
async def key(gated: Gated, account: str) -> NewKey:
    return await gated.stack.create_key(account)


async def ask(http: httpx2.AsyncClient, path: str, model: str, *, stream: bool) -> httpx2.Response:
    return await http.post(path, json={"model": model, "stream": stream, **DOORS[path]})


async def ask_all(http: httpx2.AsyncClient, model: str, count: int) -> list[httpx2.Response]:
    """As often at every door, streamed and whole, all at once."""
    paths = [path for path in DOORS for _ in (0, 1)]
    asking = [ask(http, paths[i % len(paths)], model, stream=i % 2 == 0) for i in range(count)]
    return await asyncio.gather(*asking)


def whole(response: httpx2.Response) -> bool:
    """Whether it is an answer, to its end."""
    ends = ("[DONE]", "response.completed", "message_stop")
    streamed = response.headers["content-type"].startswith("text/event-stream")
    return response.status_code == 200 and (not streamed or any(end in response.text for end in ends))


async def test_what_waits_inside_an_engine_is_cut_to_next_to_nothing_and_waits_in_the_lane(
    gated: Gated, key: NewKey
) -> None:
    gated.narrow.counted()
    async with gated.stack.client(key.secret, gated.patient_door) as http:
        asking = asyncio.create_task(ask_all(http, "narrow", 12))
        await until(lambda: _now(gated.narrow.counts.most_waiting), lambda most: most > 0)
        assert gated.narrow.counts.most_waiting <= FIRST - SEATS
        await until(lambda: _now(gated.narrow.waiting), lambda waiting: waiting <= 1)
        answers = await asking
    assert gated.narrow.counts.most_running == SEATS
    assert all(whole(each) or each.status_code in (503, 529) for each in answers)


async def test_what_has_waited_too_long_is_shed_at_every_door_and_costs_nothing(gated: Gated, key: NewKey) -> None:
    async with gated.stack.client(key.secret, gated.patient_door) as http:
        answers = await ask_all(http, "narrow", 48)
    served = [each for each in answers if each.status_code == 200]
    shed = [each for each in answers if each.status_code != 200]
    assert all(whole(each) for each in served)
    assert {each.request.url.path for each in shed} == set(DOORS)
    for each in shed:
        error = each.json()["error"]
        if each.request.url.path == "/v1/messages":
            assert (each.status_code, error["type"]) == (529, "overloaded_error")
        else:
            assert (each.status_code, error["code"]) == (503, "overloaded")
        assert "text.narrow is full: the request has waited" in error["message"]
        assert int(each.headers["retry-after"]) >= 1
    charges = await gated.stack.charges(key.key.account, len(answers))
    assert sorted(charge.cost_microusd > 0 for charge in charges) == sorted(each in served for each in answers)


async def test_a_door_that_knows_of_it_sheds_before_the_lane_does(gated: Gated, key: NewKey) -> None:
    async with gated.stack.client(key.secret, gated.patient_door) as http:
        await ask_all(http, "narrow", 12)
    await asyncio.sleep(2 * REPORT_S)
    async with gated.stack.client(key.secret) as http:
        answers = await ask_all(http, "narrow", 48)
    shed = [each for each in answers if each.status_code != 200]
    assert len(shed) > 24
    at_the_door = [each for each in shed if "text.narrow is full: the request has waited" not in each.text]
    assert len(at_the_door) > len(shed) / 2
    assert all(int(each.headers["retry-after"]) >= 1 for each in shed)


async def test_an_engine_that_is_full_does_not_stop_the_lane_s_other_models(gated: Gated, key: NewKey) -> None:
    async with gated.stack.client(key.secret, gated.patient_door) as http:
        full = asyncio.create_task(ask_all(http, "beside", FIRST + 3))
        await until(lambda: _now(gated.beside.running), lambda running: running == SEATS)
        for _ in range(5):
            assert (await ask(http, "/v1/chat/completions", "scripted", stream=False)).status_code == 200
        assert not full.done()
        await full


async def test_what_an_engine_turns_away_at_every_attempt_is_shed_and_what_it_takes_later_is_answered(
    gated: Gated, key: NewKey
) -> None:
    gated.beside.seats, gated.beside.most_waiting = 0, 0
    async with gated.stack.client(key.secret, gated.patient_door) as http:
        try:
            refused = await asyncio.gather(*[ask(http, path, "beside", stream=stream) for path, stream in WAYS])
        finally:
            gated.beside.seats, gated.beside.most_waiting = SEATS, 100
        assert [each.status_code for each in refused] == [503, 503, 529, 529]
        # The first refusals leave it one slot, for which the others have then waited too long.
        assert any("'beside' could not take the request (503)" in each.text for each in refused)
        assert all(int(each.headers["retry-after"]) >= 1 for each in refused)
        assert whole(await ask(http, "/v1/messages", "beside", stream=True))


async def test_an_engine_that_tells_nothing_has_the_fixed_bound(gated: Gated, key: NewKey) -> None:
    gated.narrow.tells = False
    try:
        await gated.stack.stop("narrow")
        await gated.stack.start("narrow", PENSTOCK_SLOTS="3")
        async with gated.stack.client(key.secret, gated.patient_door) as http:
            gated.narrow.counted()
            await ask_all(http, "narrow", 12)
        assert (gated.narrow.counts.most_running, gated.narrow.counts.most_waiting) == (SEATS, 1)
        assert gated.stack.log("narrow").count('"event": "engine_signals_missing"') == 1
    finally:
        gated.narrow.tells = True


async def _now(value: int) -> int:
    return value
