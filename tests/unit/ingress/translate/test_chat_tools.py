"""Tools, images, files, reasoning and cache marks of a chat completion, made canonical."""

import json
from typing import Any

import pytest

from ingress.translate.openai_chat import parse, to_chat
from schemas.catalog import Model
from schemas.chat import (
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Reasoning,
    Refusal,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.errors import InvalidValue
from schemas.jobs import ENCODER, WORK_DECODER

MODEL = Model(
    id="m",
    engine="openai_responses",
    abilities=frozenset({"parallel_tools"}),
    context_tokens=2048,
    max_output_tokens=512,
)
UNTOLD = Model(id="m", engine="llama_cpp", context_tokens=2048, max_output_tokens=512)
MARK = {"type": "ephemeral"}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": True,
    },
}


def chat(*messages: dict[str, Any], **fields: Any) -> Chat:
    """The canonical chat as the worker will read it."""
    said = messages or ({"role": "user", "content": "Hello"},)
    made = to_chat(parse(json.dumps({"model": "m", "messages": said, **fields}).encode()), MODEL)
    read = WORK_DECODER.decode(ENCODER.encode(made))
    assert read == made
    return read


def user(*parts: Any) -> Message:
    return chat({"role": "user", "content": list(parts)}).messages[0]


def test_tools_keep_their_schema_as_it_came() -> None:
    assert chat(tools=[WEATHER]).tools == (
        Tool(
            "get_weather",
            "Tells the weather.",
            {"type": "object", "properties": {"city": {"type": "string"}}},
            strict=True,
        ),
    )


def test_a_tools_mark_stands_on_it_or_on_its_function() -> None:
    one = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    two = {"type": "function", "function": {"name": "g", "cache_control": MARK}}
    assert chat(tools=[one, two]).tools == (Tool("f", cache=CacheMark("1h")), Tool("g", cache=CacheMark("5m")))


@pytest.mark.parametrize(
    ("fields", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, ToolChoice("auto")),
        ({"tool_choice": "none"}, ToolChoice("none")),
        ({"tool_choice": "required", "parallel_tool_calls": False}, ToolChoice("required", parallel=False)),
        ({"parallel_tool_calls": True}, ToolChoice("auto", parallel=True)),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, ToolChoice("named", "f")),
    ],
)
def test_tool_choice(fields: dict[str, Any], choice: ToolChoice | None) -> None:
    assert chat(**fields).tool_choice == choice


def test_a_model_that_cannot_be_told_how_many_to_call_is_not_told() -> None:
    """OpenAI's default, which frameworks send unasked, is nothing to tell."""
    said = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "parallel_tool_calls": True}
    assert to_chat(parse(json.dumps(said).encode()), UNTOLD).tool_choice is None


def test_calls_and_results_go_into_turns_one_for_one() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Par'}}
    other = {"id": "call_2", "type": "function", "function": {"name": "get_weather", "arguments": ""}, "index": 1}
    said = chat(
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call, other], "function_call": None},
        {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
        {
            "role": "tool",
            "tool_call_id": "call_2",
            "content": [{"type": "text", "text": "S"}, {"type": "text", "text": "un"}],
        },
        {"role": "user", "content": "And?"},
    )
    assert said.messages == (
        Message("user", (Text("Weather?"),)),
        Message(
            "assistant",
            (
                Text("Let me see."),
                ToolCall("call_1", "get_weather", '{"city": "Par'),
                ToolCall("call_2", "get_weather", ""),
            ),
        ),
        Message("user", (ToolResult("call_1", (Text("Rain"),)),)),
        Message("user", (ToolResult("call_2", (Text("S"), Text("un"))),)),
        Message("user", (Text("And?"),)),
    )


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_earlier_reasoning_stands_before_what_was_said(field: str) -> None:
    said = chat({"role": "assistant", "content": "4", field: "2 and 2."}, {"role": "user", "content": "Sure?"})
    assert said.messages[0].parts == (Thinking("2 and 2."), Text("4"))


def test_an_earlier_refusal_is_one() -> None:
    assert chat({"role": "assistant", "content": None, "refusal": "No."}).messages[0].parts == (Refusal("No."),)


def test_images_come_as_data_or_by_address() -> None:
    message = user(
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "DATA:image/JPG;base64,/9j/"}},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.webp", "detail": "auto"}},
    )
    assert message.parts == (
        Text("Look"),
        Image("image/png", "iVBORw0KGgo=", detail="low"),
        Image("image/jpeg", "/9j/"),
        Image(url="https://a.example/b.webp"),
    )


def test_files_come_as_data() -> None:
    message = user(
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_data": "JVBERi0="}},
    )
    assert message.parts == (
        Document("application/pdf", "JVBERi0=", name="a.pdf"),
        Document("application/pdf", "JVBERi0="),
    )


def test_cache_marks_stay_with_their_parts() -> None:
    said = chat(
        {"role": "developer", "content": {"type": "text", "text": "Long", "cache_control": {**MARK, "ttl": "1h"}}},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            "cache_control": MARK,
        },
        {"role": "user", "content": [{"type": "text", "text": "c", "prompt_cache_breakpoint": {"mode": "explicit"}}]},
        cache_control=MARK,
    )
    assert said.messages == (
        Message("developer", (Text("Long", CacheMark("1h")),)),
        Message("user", (Text("a"), Text("b", CacheMark("5m")))),
        Message("user", (Text("c", CacheMark("5m")),)),
    )
    assert said.cache == CacheMark("5m")


def test_a_marked_tool_message_marks_its_result() -> None:
    said = chat({"role": "tool", "tool_call_id": "1", "content": "x", "cache_control": MARK})
    assert said.messages[0].parts == (ToolResult("1", (Text("x"),), cache=CacheMark("5m")),)


@pytest.mark.parametrize(
    ("fields", "reasoning"),
    [
        ({}, None),
        ({"reasoning": {}}, None),
        ({"reasoning_effort": "high"}, Reasoning("high")),
        ({"reasoning": {"effort": "max"}}, Reasoning("max")),
        ({"reasoning": {"max_tokens": 100}, "reasoning_effort": "low"}, Reasoning("low", 100)),
        ({"reasoning_effort": "none"}, Reasoning("none")),
    ],
)
def test_reasoning(fields: dict[str, Any], reasoning: Reasoning | None) -> None:
    assert chat(**fields).reasoning == reasoning


@pytest.mark.parametrize(
    ("asked", "form"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
            ResponseFormat("json_schema", "n", {"type": "object"}, strict=True),
        ),
    ],
)
def test_response_format(asked: dict[str, Any], form: ResponseFormat | None) -> None:
    assert chat(response_format=asked).response_format == form


@pytest.mark.parametrize(("sent", "kept"), [("in_memory", "in_memory"), ("in-memory", "in_memory"), ("24h", "24h")])
def test_prompt_cache_retention(sent: str, kept: str) -> None:
    assert chat(prompt_cache_retention=sent).cache_retention == kept


def test_the_key_of_a_prompt_cache_is_kept_for_who_knows_it() -> None:
    assert chat(prompt_cache_key="k").extras == {"openai_chat": {"prompt_cache_key": "k"}}
    assert chat().extras is None


def test_a_schema_with_a_number_that_could_not_travel_is_refused() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"maximum": 2**70}}}
    with pytest.raises(InvalidValue, match="64 bits"):
        chat(tools=[tool])
