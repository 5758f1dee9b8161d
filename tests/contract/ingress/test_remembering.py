"""Signed thinking between two requests, over a real Valkey and over one that is out of reach."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from ingress.remembering import Remembering, recall, remembering
from ingress.translate.openai_chat import StreamWriter
from schemas.catalog import Model
from schemas.chat import Chat, Message, Part, Reasoning, Text, Thinking, Tool, ToolCall, ToolResult
from schemas.chunks import Chunk, Ended, Finish, Signature, ToolCallDelta
from schemas.usage import Usage
from storage.line import Line
from storage.thinking import ThinkingStore


def row(engine: str = "anthropic", **fields: Any) -> Model:
    base = {"id": "m", "engine": engine, "base_url": "http://x", "context_tokens": 9999, "max_output_tokens": 999}
    return Model.model_validate({**base, **fields})


DEEP = Reasoning("high")


def turn(call_id: str, *thinking: Part) -> tuple[Message, Message]:
    called = Message("assistant", (*thinking, ToolCall(call_id, "f", "{}")))
    return called, Message("user", (ToolResult(call_id, (Text("4"),)),))


def conversation(*turns: tuple[Message, Message], reasoning: Reasoning | None = DEEP) -> Chat:
    messages = [Message("user", (Text("Hi"),)), *[message for each in turns for message in each]]
    return Chat(tuple(messages), tools=(Tool("f"),), reasoning=reasoning)


async def answered(store: ThinkingStore, account: str, call_id: str, signature: str) -> None:
    remember = Remembering(store, account, "m")
    writer = remember.writer(StreamWriter("job_1", "m", 0, include_usage=False))
    chunks: list[Chunk] = [Signature(signature), ToolCallDelta(0, "{}", call_id, "f"), Finish("tool_calls")]
    assert writer.write([*chunks, Ended("completed", Usage(1, 1))]).endswith(b"data: [DONE]\n\n")
    await remember.keep()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[ThinkingStore]:
    line = Line(redis_url)
    await line.open()
    yield ThinkingStore(line)
    await line.close()


@pytest.fixture
def account() -> str:
    return f"account-{secrets.token_hex(6)}"


async def test_every_turn_gets_its_own_back(store: ThinkingStore, account: str) -> None:
    await answered(store, account, "one", "s1")
    await answered(store, account, "two", "s2")
    chat = await recall(store, account, row(), conversation(turn("one", Thinking("")), turn("two")))
    assert chat == conversation(turn("one", Thinking("", "s1")), turn("two", Thinking("", "s2")))


async def test_an_earlier_turn_may_have_lost_its_own(store: ThinkingStore, account: str) -> None:
    await answered(store, account, "two", "s2")
    chat = await recall(store, account, row(), conversation(turn("one"), turn("two")))
    assert chat == conversation(turn("one"), turn("two", Thinking("", "s2")))


async def test_without_the_last_turns_the_others_is_of_no_use(store: ThinkingStore, account: str) -> None:
    await answered(store, account, "one", "s1")
    asked = conversation(turn("one"), turn("two"))
    assert await recall(store, account, row(), asked) is asked


@pytest.mark.parametrize(
    ("model", "chat"),
    [
        (row(engine="openai_compatible", abilities=["tools", "reasoning"]), conversation(turn("one"))),
        (row(), conversation(turn("one"), reasoning=None)),
        (row(), conversation(turn("one"), reasoning=Reasoning("none"))),
        (row(), conversation(turn("one", Thinking("a", "own")))),
        (row(), conversation()),
    ],
    ids=["another dialect", "no thinking asked", "thinking off", "signed already", "no calls"],
)
async def test_nothing_is_asked_where_nothing_is_missing(model: Model, chat: Chat) -> None:
    class Unasked(ThinkingStore):
        async def get(self, *_: Any) -> list[bytes | None]:
            raise AssertionError("asked")

    assert await recall(Unasked(Line("redis://127.0.0.1:1")), "a", model, chat) is chat


async def test_a_store_out_of_reach_costs_the_thinking_and_nothing_else(redis_url: str, account: str) -> None:
    away = ThinkingStore(Line(redis_url))
    await answered(away, account, "one", "s1")
    asked = conversation(turn("one"))
    assert await recall(away, account, row(), asked) is asked


async def test_only_an_answer_that_may_sign_a_call_is_listened_to(store: ThinkingStore) -> None:
    chat = conversation()
    assert remembering(store, "a", row(), chat) is not None
    assert remembering(store, "a", row(engine="openai_compatible"), chat) is None
    assert remembering(store, "a", row(), msgspec.structs.replace(chat, tools=())) is None
