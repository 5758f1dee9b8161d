"""A model whose provider is away is answered for by its fallback, which is named and paid."""

from typing import Any

import anthropic
import openai
import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import ask, error_of
from tests.stack import Stack
from tests.upstream import CUT, Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION: list[Any] = [{"role": "user", "content": "Greet me."}]


def sdk(stack: Stack, key: NewKey) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_fallback_answers_in_its_own_name_and_at_its_own_price(
    stack: Stack, key: NewKey, stream: bool
) -> None:
    stack.upstream.script(upstream.answer("Good", " morning", input_tokens=11))
    async with sdk(stack, key) as client:
        if stream:
            chunks = [
                chunk
                async for chunk in await client.chat.completions.create(model="away", messages=QUESTION, stream=True)
            ]
            assert {chunk.model for chunk in chunks} == {"able-chat"}
        else:
            reply = await client.chat.completions.create(model="away", messages=QUESTION)
            assert (reply.model, reply.choices[0].message.content) == ("able-chat", "Good morning")
    (charge,) = await stack.charges(key.key.account, 1)
    # The fallback's price is 1 and 2 dollars a million; the model that was asked would be a thousand times that.
    assert (charge.event.model, charge.cost_microusd) == ("able-chat", 11 * 1 + 2 * 2)


async def test_it_answers_at_every_door(stack: Stack, key: NewKey) -> None:
    async with sdk(stack, key) as client:
        response = await client.responses.create(model="away", input="Greet me.")
        assert (response.model, response.output_text) == ("able-chat", "Hello there")
    async with anthropic.AsyncAnthropic(base_url=stack.url, api_key=key.secret, max_retries=0) as client:
        message = await client.messages.create(model="away", max_tokens=50, messages=QUESTION)
        assert message.model == "able-chat"


async def test_a_provider_that_refuses_the_platform_is_as_good_as_away(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.refusal(401, {"message": "bad key", "code": "invalid_api_key"}))
    async with sdk(stack, key) as client:
        reply = await client.chat.completions.create(model="unsteady", messages=QUESTION)
    assert reply.model == "able-chat"
    assert [asked.body["model"] for asked in stack.upstream.asked] == ["unsteady", "able-chat"]


async def test_after_the_first_chunk_nobody_else_is_asked(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([upstream.opening(), upstream.text("Good"), CUT]))
    async with sdk(stack, key) as client:
        chunks = await client.chat.completions.create(model="unsteady", messages=QUESTION, stream=True)
        first = await anext(chunks.__aiter__())
        with pytest.raises(openai.APIError):
            _ = [chunk async for chunk in chunks]
    assert (first.model, first.choices[0].delta.content) == ("unsteady", "Good")
    assert len(stack.upstream.asked) == 1
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.model == "unsteady"


async def test_what_the_caller_did_wrong_is_asked_of_nobody_else(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.refusal(400, {"message": "No such thing.", "code": None}))
    async with stack.client(key.secret) as http:
        response = await ask(http, "unsteady")
    assert error_of(response, 400)["message"] == "No such thing."
    assert len(stack.upstream.asked) == 1


async def test_when_nobody_answers_the_caller_hears_of_the_model_that_was_asked(stack: Stack, key: NewKey) -> None:
    stack.upstream.otherwise = upstream.refusal(403, {"message": "no"})
    async with stack.client(key.secret) as http:
        response = await ask(http, "away")
    assert "'away'" in error_of(response, 503)["message"]


async def test_a_key_is_not_answered_by_a_model_that_it_does_not_open(stack: Stack, account: str) -> None:
    narrow = await stack.create_key(account, models=["away"])
    async with stack.client(narrow.secret) as http:
        response = await ask(http, "away")
    assert response.status_code == 503
    assert stack.upstream.asked == []
