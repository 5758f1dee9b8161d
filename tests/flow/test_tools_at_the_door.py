"""Tool conversations that do not hold together are refused by name; half-formed arguments pass as they are."""

from typing import Any

import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import ask, error_of
from tests.stack import Stack
from tests.upstream import DONE, Reply, finish, usage

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL: dict[str, Any] = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
HELLO: dict[str, Any] = {"role": "user", "content": "Hello"}
CALLED: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT: dict[str, Any] = {"role": "tool", "tool_call_id": "call_1", "content": "4"}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": [HELLO, RESULT]}, "messages[1]"),
        ({"messages": [HELLO, CALLED, RESULT, RESULT], "tools": [TOOL]}, "messages[3]"),
        ({"messages": [HELLO, CALLED, RESULT]}, "messages[1].tool_calls[0]"),
        ({"messages": [HELLO, {**CALLED, "tool_calls": [CALL, CALL]}], "tools": [TOOL]}, "messages[1].tool_calls[1]"),
        ({"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tools": [{"type": "function", "function": {"name": "not a name"}}]}, "tools[0].function.name"),
    ],
)
async def test_a_fault_is_named(stack: Stack, key: NewKey, fields: dict[str, Any], param: str) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", **fields)
    assert error_of(response, 400)["param"] == param
    assert stack.upstream.asked == []


async def test_a_conversation_with_calls_reaches_the_provider_as_it_is(stack: Stack, key: NewKey) -> None:
    conversation = [HELLO, CALLED, RESULT, {"role": "user", "content": "And?"}]
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", messages=conversation, tools=[TOOL], tool_choice="none")
    assert response.status_code == 200
    body = stack.upstream.asked[0].body
    assert body["messages"] == conversation
    assert (body["tools"], body["tool_choice"]) == ([TOOL], "none")


async def test_half_formed_arguments_reach_the_caller_as_they_are(stack: Stack, key: NewKey) -> None:
    piece = {"index": 0, "delta": {"tool_calls": [{"index": 0, **CALL}]}}
    stack.upstream.script(Reply([upstream.chunk(piece), finish("length"), usage(7, 3), DONE]))
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", tools=[TOOL])
    (choice,) = response.json()["choices"]
    assert choice["message"]["tool_calls"] == [CALL]
    assert choice["finish_reason"] == "length"
