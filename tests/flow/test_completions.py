"""The older completions endpoint, with the official client."""

from collections.abc import AsyncIterator

import httpx2
import openai
import pytest
import pytest_asyncio

from storage.keys import NewKey
from tests import upstream
from tests.asking import error_of
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


async def test_a_completion_whole(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("Once", " upon", input_tokens=9))
    completion = await sdk.completions.create(model="scripted", prompt="Tell a story.", max_tokens=20)
    assert (completion.object, completion.choices[0].text) == ("text_completion", "Once upon")
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert completion.usage.total_tokens == 11
    assert stack.upstream.asked[0].body["messages"] == [{"role": "user", "content": "Tell a story."}]
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.operation == "completions"


async def test_a_completion_streamed(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(upstream.answer("Once", " upon"))
    stream = await sdk.completions.create(
        model="scripted", prompt=["Tell a story."], stream=True, stream_options={"include_usage": True}
    )
    events = [event async for event in stream]
    assert "".join(choice.text for event in events for choice in event.choices) == "Once upon"
    assert events[-1].usage is not None
    assert events[-1].usage.completion_tokens == 2


async def test_a_completion_cut_upstream_ends_in_an_error(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(upstream.Reply([upstream.opening(), upstream.text("On"), upstream.CUT]))
    stream = await sdk.completions.create(model="scripted", prompt="?", stream=True)
    with pytest.raises(openai.APIError):
        _ = [event async for event in stream]


async def test_what_a_chat_model_cannot_do_is_refused_by_name(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        for name, value in (("echo", True), ("suffix", "."), ("best_of", 2)):
            asked = {"model": "scripted", "prompt": "?", name: value}
            answer: httpx2.Response = await http.post("/v1/completions", json=asked)
            assert (error_of(answer, 400)["code"], answer.json()["error"]["param"]) == ("unsupported_parameter", name)
