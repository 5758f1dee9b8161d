"""The embedded model, for real, through the Responses door and the older completions."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import openai
import pytest
import pytest_asyncio

from storage.keys import NewKey
from tests.open_responses import check_stream
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL: Final = "smollm2-135m-instruct"


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(session_embedded: None, stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


async def test_it_answers_and_goes_on(sdk: openai.AsyncOpenAI) -> None:
    first = await sdk.responses.create(
        model=MODEL, input="What is the capital of France?", max_output_tokens=50, temperature=0
    )
    assert first.output_text
    second = await sdk.responses.create(
        model=MODEL, input="Say it again.", previous_response_id=first.id, max_output_tokens=16, temperature=0
    )
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.input_tokens > first.usage.total_tokens


async def test_it_streams(session_embedded: None, stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        asked = {"model": MODEL, "input": "Count to twenty.", "max_output_tokens": 16, "stream": True}
        events = check_stream((await http.post("/v1/responses", json=asked)).text)
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "".join(deltas) != ""
    assert events[-1]["response"]["usage"]["output_tokens"] <= 16


async def test_it_works_in_the_background(sdk: openai.AsyncOpenAI) -> None:
    response = await sdk.responses.create(model=MODEL, input="Greet me.", max_output_tokens=16, background=True)
    async with asyncio.timeout(30):
        while response.status in ("queued", "in_progress"):
            response = await sdk.responses.retrieve(response.id)
    assert response.status in ("completed", "incomplete")
    assert response.output_text


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}]}, "tools"),
        ({"text": {"format": {"type": "json_object"}}}, "text.format"),
        ({"reasoning": {"effort": "low"}}, "reasoning"),
    ],
)
async def test_what_is_outside_its_contract_is_refused(
    sdk: openai.AsyncOpenAI, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await sdk.responses.create(model=MODEL, input="?", **fields)
    assert (caught.value.code, caught.value.param) == ("unsupported_parameter", param)


async def test_it_completes_a_prompt(sdk: openai.AsyncOpenAI) -> None:
    completion = await sdk.completions.create(
        model=MODEL, prompt="What is the capital of France?", max_tokens=30, temperature=0
    )
    assert completion.choices[0].text
    assert completion.usage is not None
    assert completion.usage.completion_tokens <= 30
