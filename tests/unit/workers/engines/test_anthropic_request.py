"""Canonical chats to Messages bodies, by the rules of Anthropic's own documentation."""

from typing import Any

import pytest

from schemas.chat import (
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    RedactedThinking,
    Refusal,
    ResponseFormat,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from workers.engines.anthropic_request import Shape, body

SHAPE = Shape("claude", 8000)
NATIVE: dict[str, Any] = {"extras": {"anthropic": {}}}
HI = Message("user", (Text("Hi"),))
CALL = ToolCall("toolu_1", "f", "{}")
F = Tool("f", schema={"type": "object"})


def turn(role: Role, *parts: Part) -> Message:
    return Message(role, parts)


def sent(*messages: Message, shape: Shape = SHAPE, **fields: Any) -> dict[str, Any]:
    return body(shape, Chat(messages or (HI,), **fields))


def test_the_least() -> None:
    assert sent() == {
        "model": "claude",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 8000,
        "stream": True,
    }


def test_sampling() -> None:
    asked = sent(sampling=Sampling(50, temperature=0.5, top_p=0.9, top_k=3, stop=("END",)), user="u1")
    assert {name: asked[name] for name in ("max_tokens", "temperature", "top_p", "top_k", "stop_sequences")} == {
        "max_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 3,
        "stop_sequences": ("END",),
    }
    assert asked["metadata"] == {"user_id": "u1"}


def test_a_temperature_above_1_is_sent_as_1() -> None:
    assert sent(sampling=Sampling(temperature=1.7))["temperature"] == 1


@pytest.mark.parametrize(
    ("messages", "system"),
    [
        ([turn("system", Text("A"))], "A"),
        ([turn("system", Text("A")), turn("developer", Text("B"))], "A\nB"),
        ([turn("system", Text("A")), HI, turn("system", Text("B"))], "A\nB"),
        (
            [turn("system", Text("A"), Text("B"))],
            [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}],
        ),
        (
            [turn("system", Text("A")), turn("developer", Text("B", CacheMark("1h")))],
            [
                {"type": "text", "text": "A"},
                {"type": "text", "text": "B", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
        ),
    ],
)
def test_what_the_system_says_stands_at_the_top(messages: list[Message], system: Any) -> None:
    asked = sent(*messages, HI)
    assert asked["system"] == system
    assert {message["role"] for message in asked["messages"]} == {"user"}


def test_a_caller_of_this_dialect_keeps_its_later_system_messages_where_they_are() -> None:
    asked = sent(turn("system", Text("A")), HI, turn("system", Text("B", CacheMark())), HI, **NATIVE)
    assert asked["system"] == "A"
    assert asked["messages"][1] == {
        "role": "system",
        "content": [{"type": "text", "text": "B", "cache_control": {"type": "ephemeral"}}],
    }


def test_a_prompt_that_is_all_system_is_the_users() -> None:
    asked = sent(turn("system", Text("Write a poem.")))
    assert "system" not in asked
    assert asked["messages"] == [{"role": "user", "content": "Write a poem."}]


def test_results_are_one_turn_of_the_users_and_stand_before_its_text() -> None:
    asked = sent(
        HI,
        turn("assistant", Text("Both."), CALL, ToolCall("call.2:x", "f", '{"x": 1}')),
        turn("user", ToolResult("toolu_1", (Text("one"),))),
        turn("user", Text("And?"), ToolResult("call.2:x", (), is_error=True)),
        tools=(F,),
    )
    assert asked["messages"][1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Both."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "call_2_x", "name": "f", "input": {"x": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "one"},
                {"type": "tool_result", "tool_use_id": "call_2_x", "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ("", {}),
        ('{"x": [1', {"INVALID_JSON": '{"x": [1'}),
        ("[1]", {"INVALID_JSON": "[1]"}),
    ],
)
def test_arguments_that_are_no_object_go_as_anthropic_wants_them(arguments: str, given: Any) -> None:
    asked = sent(HI, turn("assistant", ToolCall("t", "f", arguments)))
    assert asked["messages"][1]["content"][0]["input"] == given


def test_blocks() -> None:
    asked = sent(
        turn(
            "user",
            Image("image/png", "AAAA", detail="high", cache=CacheMark()),
            Image(url="https://host/a.png"),
            Document("application/pdf", "JVBERi0=", name="T", context="C", citations=True),
            Document("text/plain", text="words"),
            Document(url="https://host/a.pdf"),
            Opaque("anthropic", {"type": "search_result", "source": "s"}),
            Opaque("klingon", {"type": "search_result"}),
            Text(""),
        ),
        turn("assistant", Thinking("hm", "sig"), Thinking("unsigned"), RedactedThinking("ZGF0"), Refusal("No.")),
    )
    assert asked["messages"] == [
        {
            "role": "user",
            "content": [
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="},
                    "title": "T",
                    "context": "C",
                    "citations": {"enabled": True},
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {"type": "url", "url": "https://host/a.pdf"}},
                {"type": "search_result", "source": "s"},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "ZGF0"},
                {"type": "text", "text": "No."},
            ],
        },
    ]


def test_a_row_without_a_prompt_cache_sends_no_marks() -> None:
    marked = Chat(
        (turn("user", Text("A", CacheMark(), {"cache_control": {"type": "new"}, "new": 1})),),
        cache=CacheMark(),
        **NATIVE,
    )
    asked = body(Shape("m", 100, cache=False), marked)
    assert "cache_control" not in asked
    assert asked["messages"] == [{"role": "user", "content": [{"type": "text", "text": "A", "new": 1}]}]


def test_tools() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    asked = sent(
        tools=(
            Tool("f", "Does.", {"type": "object"}, strict=True, cache=CacheMark()),
            Tool("g"),
            Tool("web_search", extras=search, dialect="anthropic"),
        )
    )
    assert asked["tools"] == [
        {
            "name": "f",
            "description": "Does.",
            "input_schema": {"type": "object"},
            "strict": True,
            "cache_control": {"type": "ephemeral"},
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
        search,
    ]


@pytest.mark.parametrize(
    ("choice", "given"),
    [
        (ToolChoice("auto", parallel=False), {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("required"), {"type": "any"}),
        (ToolChoice("named", "f"), {"type": "tool", "name": "f"}),
        (ToolChoice("none", parallel=True), {"type": "none"}),
    ],
)
def test_tool_choice(choice: ToolChoice, given: dict[str, Any]) -> None:
    assert sent(tools=(F,), tool_choice=choice)["tool_choice"] == given


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in sent(tool_choice=ToolChoice("auto"))


def test_calls_that_were_made_have_their_tools_named() -> None:
    asked = sent(HI, turn("assistant", CALL), turn("user", ToolResult("toolu_1", (Text("x"),))))
    assert [tool["name"] for tool in asked["tools"]] == ["f"]
    assert asked["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("effort", "max_tokens", "budget"),
    [
        ("minimal", 10_000, 2000),
        ("low", 10_000, 2000),
        ("medium", 10_000, 5000),
        ("high", 10_000, 8000),
        ("max", 10_000, 9500),
        ("low", 2000, 1024),
        ("max", 1025, 1024),
    ],
)
def test_an_effort_is_a_share_of_the_output(effort: Any, max_tokens: int, budget: int) -> None:
    asked = sent(sampling=Sampling(max_tokens), reasoning=Reasoning(effort))
    assert asked["thinking"] == {"type": "enabled", "budget_tokens": budget}


def test_an_output_too_small_to_think_in_is_not_thought_about() -> None:
    assert "thinking" not in sent(sampling=Sampling(1024), reasoning=Reasoning("high"))


@pytest.mark.parametrize(
    ("reasoning", "thinking"),
    [
        (Reasoning("none"), {"type": "disabled"}),
        (Reasoning(max_tokens=3000), {"type": "enabled", "budget_tokens": 3000}),
        (Reasoning(max_tokens=10), {"type": "enabled", "budget_tokens": 1024}),
        (Reasoning(max_tokens=9000), {"type": "enabled", "budget_tokens": 7999}),
    ],
)
def test_a_budget(reasoning: Reasoning, thinking: dict[str, Any]) -> None:
    assert sent(reasoning=reasoning)["thinking"] == thinking


def test_a_model_that_adapts_is_told_the_effort() -> None:
    asked = sent(shape=Shape("m", 8000, "adaptive"), reasoning=Reasoning("minimal"))
    assert asked["thinking"] == {"type": "adaptive"}
    assert asked["output_config"] == {"effort": "low"}


def test_a_thinking_model_takes_no_temperature() -> None:
    asked = sent(sampling=Sampling(4000, temperature=0.2, top_p=0.5, top_k=5), reasoning=Reasoning("high"))
    assert not {"temperature", "top_p", "top_k"} & asked.keys()
    assert sent(sampling=Sampling(4000, top_p=0.97), reasoning=Reasoning("high"))["top_p"] == 0.97


@pytest.mark.parametrize("mode", ["required", "named"])
def test_a_model_that_must_call_does_not_think(mode: Any) -> None:
    choice = ToolChoice(mode, "f" if mode == "named" else None)
    assert "thinking" not in sent(tools=(F,), tool_choice=choice, reasoning=Reasoning("high"))


@pytest.mark.parametrize(("signature", "thinks"), [(None, False), ("sig", True)])
def test_thinking_goes_on_after_a_tool_only_with_the_thoughts_signature(signature: str | None, thinks: bool) -> None:
    said = turn("assistant", Thinking("hm", signature), CALL)
    asked = sent(HI, said, turn("user", ToolResult("toolu_1", ())), tools=(F,), reasoning=Reasoning("high"))
    assert ("thinking" in asked) is thinks


def test_a_schema_to_keep_to() -> None:
    form = ResponseFormat("json_schema", name="n", schema={"type": "object"}, strict=True)
    assert sent(response_format=form)["output_config"] == {
        "format": {"type": "json_schema", "schema": {"type": "object"}}
    }


@pytest.mark.parametrize(
    ("reasoning", "fields"),
    [
        (Reasoning("high"), {"output_config": {"effort": "high"}}),
        (Reasoning(max_tokens=100), {"thinking": {"type": "enabled", "budget_tokens": 100}}),
        (
            Reasoning("low", adaptive=True, display="omitted"),
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "low"}},
        ),
    ],
)
def test_a_caller_of_this_dialect_is_taken_at_its_word(reasoning: Reasoning, fields: dict[str, Any]) -> None:
    asked = sent(reasoning=reasoning, sampling=Sampling(50, temperature=1.0), **NATIVE)
    assert {name: asked.get(name) for name in fields} == fields
    assert asked["temperature"] == 1


def test_what_a_caller_of_this_dialect_said_beyond_the_canonical_goes_along() -> None:
    own = {"context_management": {"edits": []}, "output_config": {"task_budget": 1}, "metadata": {"more": 2}}
    asked = sent(
        extras={"anthropic": own},
        user="u",
        reasoning=Reasoning("low"),
        response_format=ResponseFormat("json_schema", schema={}),
    )
    assert asked["context_management"] == {"edits": []}
    assert asked["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {}},
        "task_budget": 1,
    }
    assert asked["metadata"] == {"more": 2, "user_id": "u"}
