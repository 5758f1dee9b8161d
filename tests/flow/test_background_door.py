"""Responses in the background: accepted for good, asked for later, whatever dies meanwhile."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx2
import openai
import pytest
import pytest_asyncio

from schemas.access import Limits
from storage.keys import NewKey
from tests import upstream
from tests.asking import error_of
from tests.open_responses import check_response, check_stream
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATH: Final = "/v1/responses"
ENDED: Final = {"completed", "incomplete", "failed", "cancelled"}


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def http(stack: Stack, key: NewKey) -> AsyncIterator[httpx2.AsyncClient]:
    async with stack.client(key.secret) as client:
        yield client


async def accept(http: httpx2.AsyncClient, **fields: Any) -> dict[str, Any]:
    response = await http.post(PATH, json={"model": "scripted", "input": "Greet me.", "background": True, **fields})
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()
    check_response(made)
    assert (made["status"], made["background"], made["output"]) == ("queued", True, [])
    return made


async def state(http: httpx2.AsyncClient, response_id: str) -> dict[str, Any]:
    response = await http.get(f"{PATH}/{response_id}")
    assert response.status_code == 200, response.text
    told: dict[str, Any] = response.json()
    check_response(told)
    return told


async def ended(http: httpx2.AsyncClient, response_id: str) -> dict[str, Any]:
    told: dict[str, Any] = await until(lambda: state(http, response_id), lambda seen: seen["status"] in ENDED)
    return told


def held(release: asyncio.Event, *pieces: str) -> Reply:
    first, *rest = pieces
    steps = [upstream.opening(), upstream.text(first), release, *[upstream.text(piece) for piece in rest]]
    return Reply([*steps, upstream.finish(), upstream.usage(7, len(pieces)), upstream.DONE])


async def test_accepted_at_once_and_polled_to_its_end(stack: Stack, http: httpx2.AsyncClient, key: NewKey) -> None:
    release = asyncio.Event()
    stack.upstream.script(held(release, "Good", " day"))
    made = await accept(http)
    await until(lambda: state(http, made["id"]), lambda seen: seen["status"] == "in_progress")
    release.set()
    done = await ended(http, made["id"])
    assert (done["status"], done["output"][0]["content"][0]["text"]) == ("completed", "Good day")
    assert done["usage"]["output_tokens"] == 2
    assert await state(http, made["id"]) == done
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.usage.output_tokens == 2


async def test_the_clients_polling_and_going_on_from_it(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    response = await sdk.responses.create(model="scripted", input="A name?", background=True)
    while response.status in ("queued", "in_progress"):
        response = await sdk.responses.retrieve(response.id)
    assert response.output_text == "Hello there"
    following = await sdk.responses.create(model="scripted", input="Sure?", previous_response_id=response.id)
    assert following.output_text == "Hello there"
    assert [message["role"] for message in stack.upstream.asked[1].body["messages"]] == ["user", "assistant", "user"]


async def test_one_that_still_runs_cannot_be_gone_on_from(stack: Stack, http: httpx2.AsyncClient) -> None:
    release = asyncio.Event()
    stack.upstream.script(held(release, "a", "b"))
    made = await accept(http)
    refused = await http.post(PATH, json={"model": "scripted", "input": "?", "previous_response_id": made["id"]})
    assert error_of(refused, 400)["param"] == "previous_response_id"
    release.set()
    await ended(http, made["id"])


async def test_a_stream_that_breaks_off_is_taken_up_where_it_broke(stack: Stack, http: httpx2.AsyncClient) -> None:
    release = asyncio.Event()
    stack.upstream.script(held(release, "Good", " day", "!"))
    asked = {"model": "scripted", "input": "Greet me.", "background": True, "stream": True}
    seen = []
    async with http.stream("POST", PATH, json=asked) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line[6:]))
                if seen[-1]["type"] == "response.output_text.delta":
                    break
    response_id, last = seen[0]["response"]["id"], seen[-1]["sequence_number"]
    release.set()
    rest = await http.get(f"{PATH}/{response_id}", params={"stream": "true", "starting_after": last})
    events = seen + check_stream(rest.text, after=last)
    whole = await http.get(f"{PATH}/{response_id}", params={"stream": "true"})
    assert check_stream(whole.text) == events
    assert [event["delta"] for event in events if event["type"] == "response.output_text.delta"] == [
        "Good",
        " day",
        "!",
    ]


async def test_the_clients_own_way_back_into_a_stream(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.responses.create(model="scripted", input="Greet me.", background=True, stream=True)
    first = await anext(aiter(stream))
    assert first.type == "response.created"
    await stream.close()
    again = await sdk.responses.retrieve(first.response.id, stream=True, starting_after=first.sequence_number)
    kinds = [event.type async for event in again]
    assert (kinds[0], kinds[-1]) == ("response.queued", "response.completed")


async def test_cancelled_the_engine_stops_and_what_was_made_is_charged(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey
) -> None:
    endless = Reply([upstream.opening(), *[step for n in range(400) for step in (upstream.text(f"{n} "), 0.05)]])
    stack.upstream.script(endless)
    response = await sdk.responses.create(model="scripted", input="Count.", background=True, stream=False)
    await stack.upstream.arrived(1)
    cancelled = await sdk.responses.cancel(response.id)
    assert cancelled.status == "cancelled"
    async with asyncio.timeout(5):
        await stack.upstream.asked[0].gone.wait()
    assert (await sdk.responses.cancel(response.id)).status == "cancelled"
    assert (await sdk.responses.retrieve(response.id)).status == "cancelled"
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.end == "cancelled"


async def test_one_that_fails_says_so(stack: Stack, http: httpx2.AsyncClient) -> None:
    stack.upstream.script(upstream.refusal(400, {"message": "no", "type": "x", "param": None, "code": None}))
    told = await ended(http, (await accept(http))["id"])
    assert told["status"] == "failed"
    assert told["error"]["message"]


async def test_past_its_deadline_it_fails(stack: Stack, http: httpx2.AsyncClient) -> None:
    stack.upstream.mute = True
    told = await ended(http, (await accept(http, model="brief"))["id"])
    assert (told["status"], told["error"]["type"]) == ("failed", "deadline_exceeded")


async def test_deleted_while_it_runs_the_engine_stops(stack: Stack, http: httpx2.AsyncClient) -> None:
    endless = Reply([upstream.opening(), *[step for n in range(400) for step in (upstream.text(f"{n} "), 0.05)]])
    stack.upstream.script(endless)
    made = await accept(http)
    await stack.upstream.arrived(1)
    assert (await http.delete(f"{PATH}/{made['id']}")).json()["deleted"] is True
    async with asyncio.timeout(5):
        await stack.upstream.asked[0].gone.wait()
    error_of(await http.get(f"{PATH}/{made['id']}"), 404)


async def test_it_holds_its_accounts_slot_until_its_end(
    stack: Stack, http: httpx2.AsyncClient, key: NewKey, account: str
) -> None:
    await stack.set_limits(account, Limits(in_flight=1))
    release = asyncio.Event()
    stack.upstream.script(held(release, "a", "b"))
    made = await accept(http)
    asked = {"model": "scripted", "input": "?", "background": True}
    assert error_of(await http.post(PATH, json=asked), 429)["code"] == "rate_limit_exceeded"
    release.set()
    await ended(http, made["id"])
    await ended(http, (await accept(http))["id"])


async def test_an_ingress_that_dies_takes_nothing_with_it(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.script(held(release, "Good", " day"))
    async with breakable.client(key.secret) as http:
        made = await accept(http, stream=False)
        await breakable.upstream.arrived(1)
        await breakable.kill("ingress")
    await breakable.start("ingress")
    async with breakable.client(key.secret) as http:
        assert (await state(http, made["id"]))["status"] == "in_progress"
        release.set()
        told = await ended(http, made["id"])
    assert told["output"][0]["content"][0]["text"] == "Good day"
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.usage.output_tokens) == ("completed", 2)


async def test_a_worker_that_dies_runs_it_again(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    never = asyncio.Event()
    breakable.upstream.script(held(never, "lost", "lost"), upstream.answer("kept"))
    async with breakable.client(key.secret) as http:
        made = await accept(http)
        await breakable.upstream.arrived(1)
        await breakable.kill("worker")
        await breakable.start("worker")
        told = await ended(http, made["id"])
    assert (told["status"], told["output"][0]["content"][0]["text"]) == ("completed", "kept")
    (charge,) = await breakable.charges(account, 1)
    assert charge.event.usage.output_tokens == 1


async def test_a_valkey_that_dies_costs_a_pause(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    release = asyncio.Event()
    breakable.upstream.script(held(release, "Good", " day"))
    async with breakable.client(key.secret) as http:
        made = await accept(http)
        await breakable.upstream.arrived(1)
        await breakable.kill("valkey")
        release.set()
        error_of(await http.get(f"{PATH}/{made['id']}"), 503)
        await breakable.start("valkey")
        await until(lambda: http.get("/readyz"), lambda ready: ready.status_code == 200)
        told = await ended(http, made["id"])
    assert (told["status"], told["output"][0]["content"][0]["text"]) == ("completed", "Good day")


@pytest.mark.slow
async def test_a_worker_that_falls_silent_past_its_deadline_leaves_the_end_to_the_ingress(
    breakable: Stack, account: str
) -> None:
    key = await breakable.create_key(account)
    breakable.upstream.script(held(asyncio.Event(), "Good", "never"))
    asked = {"model": "short", "input": "Greet me.", "background": True, "stream": True}
    async with breakable.client(key.secret) as http:
        async with http.stream("POST", PATH, json=asked) as response:
            response_id = await first_delta(response)
        breakable.signal("worker", signal.SIGSTOP)
        try:
            told = await ended(http, response_id)
        finally:
            breakable.signal("worker", signal.SIGCONT)
        assert (told["status"], told["error"]["type"]) == ("failed", "deadline_exceeded")
        assert (told["output"][0]["content"][0]["text"], told["usage"]) == ("Good", None)
        (charge,) = await breakable.charges(account, 1)
        assert (charge.event.end, charge.event.usage.output_tokens) == ("expired", 1)
        assert await state(http, response_id) == told
    await breakable.until_free(account)


async def first_delta(response: httpx2.Response) -> str:
    """The id of a response that has begun to say something."""
    response_id = ""
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            event = json.loads(line[6:])
            response_id = event.get("response", {}).get("id", response_id)
            if event["type"] == "response.output_text.delta":
                return response_id
    raise AssertionError("nothing was said")
