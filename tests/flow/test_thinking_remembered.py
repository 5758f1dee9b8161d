"""Clients of OpenAI's dialects go on with a model that signs its thinking, though chat completions cannot say so."""

from typing import Any, Final

import openai
import pytest
from redis.asyncio import Redis

from storage.keys import NewKey
from tests import anthropic_upstream as messages
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

MODEL: Final = "able-messages"
HI: Final[Any] = {"role": "user", "content": "What is the weather in Ulm?"}
TOOL: Final[dict[str, Any]] = {"name": "weather", "parameters": {"type": "object"}}
SIGNED: Final = {"type": "thinking", "thinking": "Let me see.", "signature": "c2lnbmVk"}
CALLED: Final = {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "Ulm"}}


def calling() -> Reply:
    thought = messages.thinking(0, "Let me", " see.", signature="c2lnbmVk")
    call = messages.tool_use(1, "toolu_01", "weather", '{"city"', ': "Ulm"}')
    return messages.stream(thought, call, messages.end("tool_use"))


def sdk(stack: Stack, key: NewKey) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0)


async def called(client: openai.AsyncOpenAI, *, stream: bool) -> dict[str, Any]:
    """The assistant's message, with no more of it than OpenAI's clients send back."""
    fields: dict[str, Any] = {"tools": [{"type": "function", "function": TOOL}], "reasoning_effort": "high"}
    if stream:
        async with client.chat.completions.stream(model=MODEL, messages=[HI], **fields) as events:
            reply = await events.get_final_completion()
    else:
        reply = await client.chat.completions.create(model=MODEL, messages=[HI], **fields)
    calls = reply.choices[0].message.tool_calls
    assert calls is not None
    (call,) = calls
    assert call.type == "function"
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": call.id, "type": "function", "function": call.function.model_dump(exclude={"parsed_arguments"})}
        ],
    }


async def go_on(client: openai.AsyncOpenAI, turn: dict[str, Any]) -> None:
    result = {"role": "tool", "tool_call_id": turn["tool_calls"][0]["id"], "content": "Rain"}
    said: list[Any] = [HI, turn, result]
    tools: list[Any] = [{"type": "function", "function": TOOL}]
    reply = await client.chat.completions.create(model=MODEL, messages=said, tools=tools, reasoning_effort="high")
    assert reply.choices[0].message.content == "It rains."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_completions_client_has_the_signature_kept_for_it(stack: Stack, key: NewKey, stream: bool) -> None:
    stack.upstream.script(calling(), messages.answer("It rains."))
    async with sdk(stack, key) as client:
        await go_on(client, await called(client, stream=stream))
    body = stack.upstream.asked[1].body
    assert body["messages"][1] == {"role": "assistant", "content": [SIGNED, CALLED]}
    assert body["thinking"]["type"] == "enabled"


@pytest.mark.parametrize("lost", ["forgotten", "another account's"])
async def test_without_it_the_model_answers_without_thinking(
    stack: Stack, key: NewKey, account: str, lost: str
) -> None:
    stack.upstream.script(calling(), messages.answer("It rains."))
    async with sdk(stack, key) as client:
        turn = await called(client, stream=True)
    if lost == "forgotten":
        async with Redis.from_url(stack.redis_url) as redis:
            assert await redis.delete(*[name async for name in redis.scan_iter("penstock:thinking:*")]) > 0
    else:
        key = await stack.create_key(f"{account}-other")
    async with sdk(stack, key) as client:
        await go_on(client, turn)
    body = stack.upstream.asked[1].body
    assert body["messages"][1] == {"role": "assistant", "content": [CALLED]}
    assert "thinking" not in body


@pytest.mark.parametrize("stored", [True, False])
async def test_a_responses_client_carries_it_itself(stack: Stack, key: NewKey, stored: bool) -> None:
    stack.upstream.script(calling(), messages.answer("It rains."))
    fields: dict[str, Any] = {"tools": [{"type": "function", **TOOL}], "reasoning": {"effort": "high"}}
    result: Any = {"type": "function_call_output", "call_id": "toolu_01", "output": "Rain"}
    async with sdk(stack, key) as client:
        first = await client.responses.create(model=MODEL, input=[HI], store=stored, **fields)
        if stored:
            second = await client.responses.create(model=MODEL, input=[result], previous_response_id=first.id, **fields)
        else:
            given = [item.model_dump(exclude_none=True) for item in first.output]
            second = await client.responses.create(model=MODEL, input=[HI, *given, result], store=False, **fields)
    assert second.output_text == "It rains."
    body = stack.upstream.asked[1].body
    assert body["messages"][1] == {"role": "assistant", "content": [SIGNED, CALLED]}
    assert body["thinking"]["type"] == "enabled"
