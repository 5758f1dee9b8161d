"""A chat request goes in by HTTP, through Kafka and back, as the official client sees it."""

import openai
import pytest

from storage.keys import NewKey
from tests import upstream
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

QUESTION = [{"role": "user", "content": "Greet me."}]


def sdk(stack: Stack, key: NewKey) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0)


async def test_a_stream_carries_every_piece_and_its_usage(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("Good", " morn", "ing", input_tokens=11))
    async with sdk(stack, key) as client:
        events = [
            event
            async for event in await client.chat.completions.create(
                model="scripted", messages=QUESTION, stream=True, stream_options={"include_usage": True}
            )
        ]
    texts = [choice.delta.content for event in events for choice in event.choices if choice.delta.content]
    assert texts == ["Good", " morn", "ing"]
    assert [choice.finish_reason for event in events for choice in event.choices][-1] == "stop"
    assert (events[-1].usage.prompt_tokens, events[-1].usage.completion_tokens) == (11, 3)


async def test_a_whole_reply_is_the_fold_of_the_stream(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("Good", " morn", "ing", input_tokens=11))
    async with sdk(stack, key) as client:
        reply = await client.chat.completions.create(model="scripted", messages=QUESTION)
    assert reply.choices[0].message.content == "Good morning"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage.total_tokens == 14


async def test_the_charge_is_what_the_engine_counted(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("a", "b", "c", input_tokens=11))
    async with sdk(stack, key) as client:
        await client.chat.completions.create(model="scripted", messages=QUESTION)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.usage.input_tokens, charge.event.usage.output_tokens) == (11, 3)
    assert charge.cost_microusd == 11 * 1 + 3 * 2
