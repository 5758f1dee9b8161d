"""Law 4: silence on a stream is filled, or idle proxies cut it (BF#5010, LL#34821)."""

import asyncio

import openai
import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import DONE, QUESTION, streaming
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


def thinking(thought: asyncio.Event) -> Reply:
    return Reply(
        [thought, upstream.opening(), upstream.text("42"), upstream.finish(), upstream.usage(7, 1), upstream.DONE]
    )


async def test_pings_while_a_model_thinks(stack: Stack, tight_door: str, key: NewKey) -> None:
    thought = asyncio.Event()
    stack.upstream.script(thinking(thought))
    async with stack.client(key.secret, tight_door) as http, streaming(http) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert [await stream.event() for _ in range(2)] == [": ping"] * 2
        thought.set()
        events = [event for event in await stream.rest() if event != ": ping"]
    assert stream.text == "42"
    assert events[-1] == DONE


async def test_pings_in_the_middle_of_an_answer(stack: Stack, tight_door: str, key: NewKey) -> None:
    pause = asyncio.Event()
    stack.upstream.script(Reply([upstream.opening(), upstream.text("4"), *thinking(pause).steps]))
    async with stack.client(key.secret, tight_door) as http, streaming(http) as stream:
        await stream.until_text("4")
        assert await stream.event() == ": ping"
        pause.set()
        await stream.rest()
    assert stream.text == "442"


async def test_the_official_client_does_not_see_pings(stack: Stack, tight_door: str, key: NewKey) -> None:
    thought = asyncio.Event()
    stack.upstream.script(thinking(thought))
    async with openai.AsyncOpenAI(base_url=f"{tight_door}/v1", api_key=key.secret, max_retries=0) as client:
        stream = await client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
        thought.set()
        assert "".join([event.choices[0].delta.content or "" async for event in stream]) == "42"


async def test_an_error_after_a_ping_is_an_event(stack: Stack, tight_door: str, key: NewKey) -> None:
    thought = asyncio.Event()
    stack.upstream.script(Reply([thought, upstream.CUT]))
    async with stack.client(key.secret, tight_door) as http, streaming(http) as stream:
        assert stream.response.status_code == 200
        assert await stream.event() == ": ping"
        stack.upstream.otherwise = upstream.refusal(400, {"message": "No.", "code": "bad"})
        thought.set()
        events = [event for event in await stream.rest() if event != ": ping"]
    assert len(events) == 1
    assert events[0]["error"]["message"]
