"""Law 6: shed at the door, with 503 and Retry-After, what cannot be served in time."""

import asyncio

import httpx2
import openai
import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import PATH, QUESTION, ask, body, error_of
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_lane_without_a_worker_is_shed(stack: Stack, tight_door: str, key: NewKey) -> None:
    async with stack.client(key.secret, tight_door, timeout_s=0.3) as http:

        async def asked() -> httpx2.Response | None:
            try:
                return await ask(http, "unserved")
            except httpx2.ReadTimeout:
                return None

        response = await until(asked, lambda response: response is not None)
    error = error_of(response, 503)
    assert error["code"] == "overloaded"
    assert "text.unserved" in error["message"]
    assert int(response.headers["retry-after"]) > 0
    async with openai.AsyncOpenAI(base_url=f"{tight_door}/v1", api_key=key.secret, max_retries=0) as sdk:
        with pytest.raises(openai.APIStatusError) as shed:
            await sdk.chat.completions.create(model="unserved", messages=QUESTION)
    assert (shed.value.status_code, shed.value.code) == (503, "overloaded")


@pytest.mark.usefixtures("session_narrow")
async def test_a_full_lane_is_shed_and_what_was_accepted_is_answered(stack: Stack, key: NewKey) -> None:
    release = asyncio.Event()
    stack.upstream.otherwise = Reply([release, *upstream.answer("served").steps])
    accepted = []
    async with stack.client(key.secret) as http:
        while True:
            asking = asyncio.create_task(ask(http, "narrow"))
            done, _ = await asyncio.wait([asking], timeout=0.3)
            if done:
                break
            accepted.append(asking)
            assert len(accepted) < 40, "one slot, and nobody is told that it is taken"
        error = error_of(await asking, 503)
        assert error["code"] == "overloaded"
        assert "text.narrow is full" in error["message"]
        assert int((await asking).headers["retry-after"]) > 0
        release.set()
        answers = await asyncio.gather(*accepted)
    assert [answer.json()["choices"][0]["message"]["content"] for answer in answers] == ["served"] * len(accepted)
    assert len(await stack.charges(key.key.account, len(accepted))) == len(accepted)


async def test_another_lane_is_open_while_one_is_full(stack: Stack, session_narrow: None, key: NewKey) -> None:
    release = asyncio.Event()
    async with stack.client(key.secret) as http:

        async def open_again() -> int:
            return (await ask(http, "narrow")).status_code

        # A worker tells of its lane once a second: it may be taken for full a moment longer than it is.
        await until(open_again, lambda status: status == 200)
        stack.upstream.reset()
        stack.upstream.script(Reply([release, *upstream.answer("narrow").steps]))
        narrow = [asyncio.create_task(ask(http, "narrow")) for _ in range(3)]
        await stack.upstream.arrived(1)
        assert (await ask(http)).status_code == 200
        release.set()
        assert {response.status_code for response in await asyncio.gather(*narrow)} == {200}


async def test_a_process_takes_no_more_requests_than_it_may(stack: Stack, tight_door: str, key: NewKey) -> None:
    release = asyncio.Event()
    stack.upstream.otherwise = Reply([release, *upstream.answer("served").steps])
    async with stack.client(key.secret, tight_door) as http:
        accepted = [asyncio.create_task(http.post(PATH, json=body())) for _ in range(8)]
        await stack.upstream.arrived(8)
        refused = await ask(http)
        assert error_of(refused, 503)["code"] == "overloaded"
        assert refused.headers["retry-after"] == "1"
        release.set()
        assert {response.status_code for response in await asyncio.gather(*accepted)} == {200}
