"""What Messages and the canonical form can both say comes back unchanged: canonical → body → canonical."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.translate.anthropic import parse, to_chat
from schemas.chat import (
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Opaque,
    Reasoning,
    RedactedThinking,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.jobs import WORK_DECODER
from workers.engines.anthropic_request import Shape, body

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
SHAPE = Shape("m", 8000)

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
ids = st.from_regex(r"[a-zA-Z0-9_-]{1,6}", fullmatch=True)
marks = st.none() | st.builds(CacheMark, st.sampled_from(["5m", "1h"]))
own = st.none() | st.dictionaries(st.sampled_from(["new", "newer"]), st.integers(0, 9) | texts, min_size=1)
schemas = st.fixed_dictionaries({"type": st.just("object")})
objects = st.dictionaries(texts, st.integers(-(2**63), 2**63 - 1) | texts | st.booleans(), max_size=2)

spoken = st.builds(Text, texts, marks, own)
images = st.builds(Image, st.sampled_from(["image/png", "image/webp"]), texts, cache=marks, extras=own) | st.builds(
    Image, url=texts, cache=marks, extras=own
)
described: dict[str, Any] = {
    "name": st.none() | texts,
    "context": st.none() | texts,
    "citations": st.none() | st.booleans(),
    "cache": marks,
    "extras": own,
}
documents = st.one_of(
    st.builds(Document, st.just("application/pdf"), texts, **described),
    st.builds(Document, st.just("text/plain"), text=texts, **described),
    st.builds(Document, url=texts, **described),
)
opaque = st.builds(Opaque, st.just("anthropic"), st.fixed_dictionaries({"type": st.just("new_block"), "x": objects}))
seen = st.one_of(spoken, images, documents, opaque)
results = st.builds(ToolResult, ids, st.lists(seen, max_size=2).map(tuple), st.booleans(), marks, own)
calls = st.builds(ToolCall, ids, ids, objects.map(lambda value: msgspec.json.encode(value).decode()), marks, own)
thoughts = st.builds(Thinking, texts, texts) | st.builds(RedactedThinking, texts)

user = st.builds(
    lambda answered, said: Message("user", (*answered, *said)),
    st.lists(results, max_size=2),
    st.lists(seen, min_size=1, max_size=3),
)
assistant = st.lists(st.one_of(thoughts, spoken, calls, opaque), min_size=1, max_size=4).map(
    lambda parts: Message("assistant", tuple(parts))
)
systems = st.lists(spoken, min_size=1, max_size=3).map(lambda parts: Message("system", tuple(parts)))
exchanges = st.lists(st.tuples(user, assistant, st.none() | systems), max_size=2).map(
    lambda turns: [message for exchange in turns for message in exchange if message is not None]
)
tools = st.lists(
    st.one_of(
        st.builds(Tool, ids, st.none() | texts, schemas, st.none() | st.booleans(), marks, own),
        ids.map(lambda n: Tool(n, extras={"type": "web_search_20250305", "name": n}, dialect="anthropic")),
    ),
    min_size=1,
    max_size=2,
).map(tuple)
choices = st.one_of(
    st.builds(ToolChoice, st.sampled_from(["auto", "required"]), parallel=st.none() | st.booleans()),
    st.builds(ToolChoice, st.just("named"), ids, st.none() | st.booleans()),
    st.just(ToolChoice("none")),
)
efforts = st.sampled_from(["low", "medium", "high", "xhigh", "max"])
displays = st.none() | st.sampled_from(["summarized", "omitted"])
reasonings = st.one_of(
    st.builds(Reasoning, efforts),
    st.builds(Reasoning, st.none() | efforts, st.integers(1, 9999), display=displays),
    st.builds(Reasoning, st.none() | efforts, adaptive=st.just(True), display=displays),
    st.builds(Reasoning, st.just("none"), display=displays),
)
samplings = st.builds(
    Sampling,
    st.integers(1, 99_999),
    temperature=st.none() | st.floats(0, 1),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(0, 500),
    stop=st.lists(texts, max_size=2).map(tuple),
)
extras = st.dictionaries(st.sampled_from(["context_management", "container", "service_tier"]), objects | texts)


@st.composite
def chats(draw: st.DrawFn) -> Chat:
    first = draw(st.none() | systems)
    messages = ([] if first is None else [first]) + [*draw(exchanges), draw(user)]
    offered = draw(st.just(()) | tools)
    return Chat(
        tuple(messages),
        draw(samplings),
        draw(st.none() | texts),
        offered,
        draw(st.none() | choices) if offered else None,
        draw(st.none() | st.builds(ResponseFormat, st.just("json_schema"), schema=schemas)),
        draw(st.none() | reasonings),
        draw(marks),
        extras={"anthropic": draw(extras)},
    )


@UNHURRIED
@given(chats())
def test_canonical_to_a_body_and_back(chat: Chat) -> None:
    sent = msgspec.json.encode(body(SHAPE, chat))
    assert to_chat(parse(sent)) == chat


@UNHURRIED
@given(chats())
def test_a_chat_survives_its_envelope(chat: Chat) -> None:
    assert WORK_DECODER.decode(msgspec.msgpack.encode(chat)) == chat


CLAUDE_CODE: dict[str, Any] = {
    "model": "m",
    "max_tokens": 32_000,
    "stream": True,
    "temperature": 1.0,
    "system": [
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Here is the project.", "cache_control": {"type": "ephemeral", "scope": "global"}},
    ],
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "A greeting.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ"},
                {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
                {
                    "type": "tool_use",
                    "id": "toolu_1",
                    "name": "Read",
                    "input": {"path": "a.py"},
                    "caller": {"type": "direct"},
                },
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [{"type": "tool_reference", "tool_name": "Edit"}],
                }
            ],
        },
        {
            "role": "system",
            "content": [{"type": "text", "text": "Date changed.", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "user", "content": "go on"},
    ],
    "tools": [
        {
            "name": "Read",
            "description": "Reads.",
            "input_schema": {"type": "object"},
            "strict": True,
            "defer_loading": True,
            "input_examples": [{"path": "b"}],
            "eager_input_streaming": True,
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
        },
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "adaptive", "display": "summarized"},
    "output_config": {"effort": "high", "task_budget": {"type": "tokens", "total": 1000}},
    "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    "metadata": {"user_id": "user_1"},
    "speed": "fast",
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"thinking": {"type": "enabled", "budget_tokens": 31_999}, "output_config": {"effort": "low"}},
        {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
        {"thinking": {"type": "between_tools", "more": 1}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_config": {"format": {"type": "grammar", "source": "x"}, "effort": "ultra"}},
        {"tool_choice": {"type": "tool", "name": "Read"}},
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
)
def test_a_body_that_goes_on_to_a_provider_of_its_own_dialect_is_what_it_was(changes: dict[str, Any]) -> None:
    asked = CLAUDE_CODE | changes
    sent = body(SHAPE, to_chat(parse(json.dumps(asked).encode())))
    assert json.loads(msgspec.json.encode(sent)) == asked
