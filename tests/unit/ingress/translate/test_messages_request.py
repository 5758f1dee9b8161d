"""Messages bodies made canonical; the bodies are those of Anthropic's documentation and of what its clients send."""

import json
from typing import Any

import pytest

from ingress.translate.anthropic import parse, parse_count, to_chat
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
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.errors import InvalidRequest, InvalidValue, PenstockError

HI = [{"role": "user", "content": "Hi"}]
PNG = "iVBORw0KGgo="


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 100, "messages": HI, **fields}).encode()


def chat(**fields: Any) -> Chat:
    return to_chat(parse(body(**fields)))


def parts(*blocks: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return chat(messages=[{"role": role, "content": list(blocks)}]).messages[0].parts


def test_the_least() -> None:
    assert chat() == Chat((Message("user", (Text("Hi"),)),), Sampling(max_output_tokens=100), extras={"anthropic": {}})


def test_sampling() -> None:
    asked = chat(temperature=1, top_p=0.5, top_k=40, stop_sequences=["END"], metadata={"user_id": "u1"})
    assert asked.sampling == Sampling(100, temperature=1.0, top_p=0.5, top_k=40, stop=("END",))
    assert asked.user == "u1"


@pytest.mark.parametrize(
    ("system", "said"),
    [
        ("Be brief.", (Text("Be brief."),)),
        (
            [
                {"type": "text", "text": "You are Claude Code."},
                {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            ],
            (Text("You are Claude Code."), Text("Be brief.", CacheMark("1h"))),
        ),
    ],
)
def test_system_comes_first_in_its_order(system: Any, said: tuple[Part, ...]) -> None:
    assert chat(system=system).messages == (Message("system", said), Message("user", (Text("Hi"),)))


@pytest.mark.parametrize("system", ["", [], None])
def test_an_empty_system_says_nothing(system: Any) -> None:
    assert chat(system=system).messages == chat().messages


def test_system_is_legal_among_the_messages() -> None:
    mark = {"type": "ephemeral"}
    turns = [*HI, {"role": "system", "content": [{"type": "text", "text": "Now in French.", "cache_control": mark}]}]
    assert chat(messages=turns).messages[1] == Message("system", (Text("Now in French.", CacheMark()),))


def test_a_tools_round_trip() -> None:
    turns = [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Call it.", "signature": "c2ln"},
                {"type": "redacted_thinking", "data": "ZGF0YQ"},
                {"type": "text", "text": "Let me look."},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris", "days": 2}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "15 degrees"},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                        {"type": "tool_reference", "tool_name": "other"},
                    ],
                    "is_error": True,
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "ok"},
                {"type": "tool_result", "tool_use_id": "toolu_3"},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    _, said, answered = chat(messages=turns).messages
    assert said.parts == (
        Thinking("Call it.", "c2ln"),
        RedactedThinking("ZGF0YQ"),
        Text("Let me look."),
        ToolCall("toolu_1", "weather", '{"city":"Paris","days":2}'),
    )
    seen = (
        Text("15 degrees"),
        Image("image/png", PNG),
        Opaque("anthropic", {"type": "tool_reference", "tool_name": "other"}),
    )
    assert answered.parts == (
        ToolResult("toolu_1", seen, True, CacheMark()),
        ToolResult("toolu_2", (Text("ok"),)),
        ToolResult("toolu_3", ()),
        Text("And now?"),
    )


def test_arguments_that_a_model_left_half_formed_come_back_as_they_went() -> None:
    assert parts({"type": "tool_use", "id": "t", "name": "f", "input": '{"x": [1'}, role="assistant") == (
        ToolCall("t", "f", '{"x": [1'),
    )


def test_images_and_documents() -> None:
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    plain = {"type": "text", "media_type": "text/plain", "data": "words"}
    assert parts(
        {"type": "image", "source": {"type": "url", "url": "https://host/a.png"}},
        {"type": "document", "source": pdf, "title": "T", "context": "C", "citations": {"enabled": True}},
        {"type": "document", "source": plain, "cache_control": {"type": "ephemeral"}},
        {"type": "document", "source": {"type": "url", "url": "https://host/a.pdf"}},
    ) == (
        Image(url="https://host/a.png"),
        Document("application/pdf", "JVBERi0=", name="T", context="C", citations=True),
        Document("text/plain", text="words", cache=CacheMark()),
        Document(url="https://host/a.pdf"),
    )


@pytest.mark.parametrize(
    "block",
    [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]},
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
        {"type": "document", "source": {"type": "content", "content": "x"}, "title": "T"},
        {"type": "yet_unknown", "anything": [1, {"a": None}]},
    ],
)
def test_a_block_that_only_the_provider_knows_stays_as_it_is(block: dict[str, Any]) -> None:
    assert parts(block) == (Opaque("anthropic", block),)


def test_unknown_fields_are_kept_where_they_stood() -> None:
    asked = chat(
        messages=[{"role": "user", "content": [{"type": "text", "text": "Hi", "new": 1, "citations": None}]}],
        tools=[
            {
                "name": "f",
                "input_schema": {"type": "object"},
                "strict": True,
                "defer_loading": True,
                "input_examples": [{}],
                "cache_control": {"type": "ephemeral", "scope": "global"},
            }
        ],
        context_management={"edits": []},
        service_tier="auto",
        container=None,
        metadata={"user_id": "u", "more": 1},
    )
    assert asked.messages[0].parts == (Text("Hi", extras={"new": 1}),)
    assert asked.tools[0].strict is True
    assert asked.tools[0].cache == CacheMark()
    assert asked.tools[0].extras == {
        "defer_loading": True,
        "input_examples": [{}],
        "cache_control": {"type": "ephemeral", "scope": "global"},
    }
    assert asked.extras == {
        "anthropic": {"context_management": {"edits": []}, "service_tier": "auto", "metadata": {"more": 1}}
    }


def test_unknown_betas_pass() -> None:
    asked = to_chat(parse(body()), "context-1m-2025-08-07,made-up-2031-01-01")
    assert asked.extras is not None
    assert asked.extras["anthropic.headers"] == {"anthropic-beta": "context-1m-2025-08-07,made-up-2031-01-01"}


def test_a_tool_that_the_provider_runs_is_its_own_dialects() -> None:
    search = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    assert chat(tools=[search]).tools == (Tool("web_search", extras=search, dialect="anthropic"),)


@pytest.mark.parametrize(
    ("choice", "canonical"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any", "disable_parallel_tool_use": True}, ToolChoice("required", parallel=False)),
        ({"type": "tool", "name": "f", "disable_parallel_tool_use": False}, ToolChoice("named", "f", parallel=True)),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_tool_choice(choice: dict[str, Any], canonical: ToolChoice) -> None:
    assert chat(tool_choice=choice).tool_choice == canonical


@pytest.mark.parametrize(
    ("fields", "reasoning", "own"),
    [
        ({}, None, {}),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Reasoning(max_tokens=2048), {}),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "high"}},
            Reasoning("high", adaptive=True, display="omitted"),
            {},
        ),
        ({"thinking": {"type": "disabled"}}, Reasoning("none"), {}),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}},
            Reasoning("none"),
            {"output_config": {"effort": "low"}},
        ),
        ({"output_config": {"effort": "max"}}, Reasoning("max"), {}),
        ({"reasoning_effort": "minimal"}, Reasoning("minimal"), {}),
        (
            {"thinking": {"type": "between_tools"}, "output_config": {"effort": "ultra", "task_budget": 3}},
            None,
            {"thinking": {"type": "between_tools"}, "output_config": {"effort": "ultra", "task_budget": 3}},
        ),
    ],
)
def test_reasoning(fields: dict[str, Any], reasoning: Reasoning | None, own: dict[str, Any]) -> None:
    asked = chat(**fields)
    assert (asked.reasoning, asked.extras) == (reasoning, {"anthropic": own})


@pytest.mark.parametrize(
    "fields",
    [
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        {"output_format": {"type": "json_schema", "schema": {"type": "object"}}},
    ],
)
def test_a_format_to_keep_to(fields: dict[str, Any]) -> None:
    assert chat(**fields).response_format == ResponseFormat("json_schema", schema={"type": "object"})


def test_a_prompt_to_be_counted_needs_no_max_tokens() -> None:
    asked = to_chat(parse_count(json.dumps({"model": "m", "messages": HI, "system": "S"}).encode()))
    assert [message.role for message in asked.messages] == ["system", "user"]


@pytest.mark.parametrize(
    ("given", "param", "words"),
    [
        (b"{", None, "not valid JSON"),
        (b"[]", None, "JSON object"),
        (b'{"model": "m", "messages": [{"role": "user", "content": "x"}]}', "max_tokens", "required"),
        (body(messages=[]), "messages", "at least 1"),
        (body(messages=[{"role": "tool", "content": "x"}]), "messages[0].role", "'user', 'assistant' or 'system'"),
        (body(messages=[{"role": "user", "content": None}]), "messages[0].content", "string or an array of blocks"),
        (body(messages=[{"role": "user", "content": [{"text": "x"}]}]), "messages[0].content[0]", "'type'"),
        (body(messages=[{"role": "user", "content": [{"type": "text"}]}]), "messages[0].content[0].text", "required"),
        (body(tools=[{"name": "f"}]), "tools[0]", "'input_schema'"),
        (body(tool_choice={"type": "tool"}), "tool_choice", "'name'"),
        (body(thinking={"type": "enabled"}), "thinking", "'budget_tokens'"),
        (body(max_tokens="many"), "max_tokens", "integer"),
        (body(temperature=float("nan")), "temperature", "finite"),
        (body(made_up=2**64), None, "64 bits"),
        (body(tools=[{"name": "f", "input_schema": {"maximum": -(10**30)}}]), None, "64 bits"),
    ],
)
def test_what_is_wrong_is_named(given: bytes, param: str | None, words: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(given)
    assert raised.value.param == param
    assert words in raised.value.message


def test_long_digits_inside_a_text_are_text() -> None:
    assert chat(system="9" * 30).messages[0].parts == (Text("9" * 30),)


def test_the_largest_integers_pass() -> None:
    assert chat(made_up=[2**63 - 1, -(2**63)]).extras == {"anthropic": {"made_up": [2**63 - 1, -(2**63)]}}


def test_errors_do_not_repeat_what_was_said() -> None:
    with pytest.raises(PenstockError) as raised:
        parse(body(messages=[{"role": "user", "content": [{"type": "text", "text": {"secret": "hush"}}]}]))
    assert isinstance(raised.value, InvalidValue)
    assert "hush" not in raised.value.message
