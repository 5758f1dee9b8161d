"""Bodies as OpenAI's reference for responses has them."""

from typing import Any

import pytest

from schemas.chat import (
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Reasoning,
    RedactedThinking,
    Refusal,
    ResponseFormat,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from workers.engines.openai_responses_request import Asking, Shape, body

HELLO = Message("user", (Text("Hello!"),))
ALWAYS = ("model", "input", "stream", "store")


def asked(chat: Chat, asking: Asking | None = None, *, reasons: bool = False) -> dict[str, Any]:
    """What is asked beside what every request has."""
    sent = body(Shape("gpt-x", asking or Asking(), reasons=reasons, caches=True), chat)
    return {name: value for name, value in sent.items() if name not in ALWAYS}


def items(*messages: Message, reasons: bool = True) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body(Shape("m", reasons=reasons), Chat(messages))["input"]
    return sent


def test_the_least() -> None:
    assert body(Shape("gpt-x"), Chat((HELLO,))) == {
        "model": "gpt-x",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}],
        "stream": True,
        "store": False,
    }


def test_the_most() -> None:
    sampling = Sampling(max_output_tokens=256, temperature=0.0, top_p=0.5, logprobs=True, top_logprobs=3)
    chat = Chat(
        (HELLO,),
        sampling,
        user="u-1",
        cache=CacheMark(),
        cache_retention="24h",
        extras={"openai_chat": {"prompt_cache_key": "k"}},
    )
    assert asked(chat, Asking(body={"service_tier": "flex", "store": True})) == {
        "service_tier": "flex",
        "include": ["message.output_text.logprobs"],
        "max_output_tokens": 256,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_logprobs": 3,
        "user": "u-1",
        "prompt_cache_retention": "24h",
        "prompt_cache_key": "k",
    }


def test_no_bound_is_lower_than_openai_takes() -> None:
    assert asked(Chat((HELLO,), Sampling(max_output_tokens=1)))["max_output_tokens"] == 16


def test_turns_become_items_in_their_order() -> None:
    assert items(
        Message("developer", (Text("Be brief."),)),
        Message(
            "assistant",
            (Thinking("Hm.", "gAAAA"), Text("Let me see."), ToolCall("call_1", "f", '{"a'), RedactedThinking("gBBBB")),
        ),
        Message("user", (ToolResult("call_1", (Text("Ra"), Text("in"))), Text("And?"))),
        Message("assistant", (Refusal("No."), Thinking("Unsigned"))),
    ) == [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAA"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}],
        },
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"a'},
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBBB"},
        {"type": "function_call_output", "call_id": "call_1", "output": "Rain"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "And?"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    ]


def test_a_model_that_does_not_reason_is_told_no_reasoning() -> None:
    assert items(Message("assistant", (Thinking("Hm.", "s"), RedactedThinking("x"))), reasons=False) == []


def test_images_and_files() -> None:
    (said,) = items(
        Message(
            "user",
            (
                Image("image/png", "iVBORw0KGgo=", detail="low"),
                Image(url="https://a.example/b.png"),
                Document("application/pdf", "JVBERi0=", name="a.pdf"),
                Document(url="https://a.example/b.pdf"),
                Document(text="Once upon", name="tale.txt"),
            ),
        )
    )
    assert said["content"] == [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"},
        {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "file_url": "https://a.example/b.pdf"},
        {"type": "input_text", "text": "tale.txt\n\nOnce upon"},
    ]


def test_a_result_that_shows_something_is_told_in_parts() -> None:
    (said,) = items(Message("user", (ToolResult("1", (Text("Look"), Image(url="https://a/b"))),)))
    assert said["output"] == [
        {"type": "input_text", "text": "Look"},
        {"type": "input_image", "image_url": "https://a/b", "detail": "auto"},
    ]


def test_tools_say_that_they_are_not_strict() -> None:
    tools = (Tool("f", "Tells it.", {"type": "object"}, strict=True), Tool("g"), Tool("x", dialect="anthropic"))
    assert asked(Chat((HELLO,), tools=tools)) == {
        "tools": [
            {
                "type": "function",
                "name": "f",
                "description": "Tells it.",
                "parameters": {"type": "object"},
                "strict": True,
            },
            {"type": "function", "name": "g", "parameters": {"type": "object", "properties": {}}, "strict": False},
        ]
    }


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        (ToolChoice("required"), {"tool_choice": "required"}),
        (
            ToolChoice("named", "f", parallel=False),
            {"tool_choice": {"type": "function", "name": "f"}, "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice, fields: dict[str, Any]) -> None:
    sent = asked(Chat((HELLO,), tools=(Tool("f"),), tool_choice=choice))
    del sent["tools"]
    assert sent == fields
    assert asked(Chat((HELLO,), tool_choice=choice)) == {}


def test_the_form_of_the_text() -> None:
    assert asked(Chat((HELLO,), response_format=ResponseFormat("json_object"))) == {
        "text": {"format": {"type": "json_object"}}
    }
    schema = ResponseFormat("json_schema", "n", {"type": "object"}, strict=True)
    assert asked(Chat((HELLO,), response_format=schema)) == {
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}}
    }


@pytest.mark.parametrize(
    ("asking", "reasoning", "told"),
    [
        (Asking(), None, {"summary": "auto"}),
        (Asking(summary=None), None, None),
        (Asking(), Reasoning("high"), {"effort": "high", "summary": "auto"}),
        (Asking(), Reasoning("none"), {"effort": "none"}),
        (Asking(), Reasoning("low", display="detailed"), {"effort": "low", "summary": "detailed"}),
        # 800 of 1,000 tokens is what "high" stands for.
        (Asking(summary=None), Reasoning(max_tokens=800), {"effort": "high"}),
    ],
)
def test_reasoning(asking: Asking, reasoning: Reasoning | None, told: dict[str, Any] | None) -> None:
    chat = Chat((HELLO,), Sampling(max_output_tokens=1000), reasoning=reasoning)
    sent = asked(chat, asking, reasons=True)
    assert sent.get("reasoning") == told
    assert sent["include"] == ["reasoning.encrypted_content"]
    assert "reasoning" not in asked(chat, asking)


def test_a_row_may_ask_for_no_sealed_reasoning() -> None:
    sent = asked(Chat((HELLO,)), Asking(sealed_reasoning=False), reasons=True)
    assert "include" not in sent
