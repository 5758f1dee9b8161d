"""Bodies as OpenAI's reference for chat completions has them."""

import json
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
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from workers.engines.openai_request import Asking, Shape, body, encode

HELLO = Message("user", (Text("Hello!"),))


def test_the_least() -> None:
    assert body(Shape("gpt-x"), Chat((HELLO,))) == {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "Hello!"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_the_most() -> None:
    sampling = Sampling(
        max_output_tokens=256,
        temperature=0.0,
        top_p=0.5,
        top_k=40,
        min_p=0.05,
        frequency_penalty=-1.0,
        presence_penalty=0.0,
        repetition_penalty=1.1,
        logit_bias={"50256": -100.0},
        logprobs=True,
        top_logprobs=0,
        seed=0,
        stop=("\n", "END"),
        choices=2,
    )
    sent = json.loads(encode(body(Shape("gpt-x"), Chat((HELLO,), sampling, user="u-1"))))
    del sent["messages"], sent["stream"], sent["stream_options"], sent["model"]
    assert sent == {
        "max_tokens": 256,
        "temperature": 0.0,
        "top_p": 0.5,
        "top_k": 40,
        "min_p": 0.05,
        "frequency_penalty": -1.0,
        "presence_penalty": 0.0,
        "repetition_penalty": 1.1,
        "logit_bias": {"50256": -100.0},
        "logprobs": True,
        "top_logprobs": 0,
        "seed": 0,
        "stop": ["\n", "END"],
        "n": 2,
        "user": "u-1",
    }


def test_what_a_row_can_change() -> None:
    shape = Shape(
        "o",
        Asking(
            max_tokens_field="max_completion_tokens",
            developer_role="developer",
            continuous_usage=True,
            token_ids=True,
            body={"top_k": 5, "model": "never"},
        ),
    )
    sent = body(shape, Chat((Message("developer", (Text("Be brief."),)),), Sampling(max_output_tokens=9)))
    assert sent["max_completion_tokens"] == 9
    assert (sent["top_k"], sent["model"]) == (5, "o")
    assert "max_tokens" not in sent
    assert sent["messages"] == [{"role": "developer", "content": "Be brief."}]
    assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert sent["return_token_ids"] is True


def test_messages() -> None:
    chat = Chat(
        (
            Message("developer", (Text("Be brief."),)),
            Message("user", (Text("One"), Text("Two")), name="ann"),
            Message("assistant", (Text(""),)),
        )
    )
    assert body(Shape("m"), chat)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}], "name": "ann"},
        {"role": "assistant", "content": ""},
    ]


def told(*messages: Message, asking: Asking | None = None, caches: bool = False) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body(Shape("m", asking or Asking(), caches=caches), Chat(messages))["messages"]
    return sent


def asked(chat: Chat, **asking: Any) -> dict[str, Any]:
    """What is asked beside what every request has."""
    sent = body(Shape("m", Asking(**asking), reasons=True, caches=True), chat)
    return {
        name: value for name, value in sent.items() if name not in ("model", "messages", "stream", "stream_options")
    }


def user(*parts: Part) -> Message:
    return Message("user", parts)


def test_results_come_right_after_their_calls_and_what_they_show_after_all_of_them() -> None:
    png = Image("image/png", "iVBORw0KGgo=")
    said = told(
        Message("assistant", (Thinking("Hm."), Text("Let me see."), ToolCall("1", "f", "{"), ToolCall("2", "f", "{}"))),
        user(ToolResult("1", (Text("Rain"), png))),
        user(ToolResult("2", (Text("a"), Text("b")), is_error=True)),
        user(Text("And?")),
    )
    assert said == [
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{"}},
                {"id": "2", "type": "function", "function": {"name": "f", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "1", "content": "Rain"},
        {
            "role": "tool",
            "tool_call_id": "2",
            "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        },
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
                {"type": "text", "text": "And?"},
            ],
        },
    ]


def test_a_result_and_a_text_in_one_turn_are_two_messages() -> None:
    assert told(user(Text("So?"), ToolResult("1", ()))) == [
        {"role": "tool", "tool_call_id": "1", "content": ""},
        {"role": "user", "content": "So?"},
    ]


def test_a_call_without_a_text_has_no_content() -> None:
    (said,) = told(Message("assistant", (ToolCall("1", "f", ""),)))
    assert said["content"] is None


@pytest.mark.parametrize("after", [[], [Message("assistant", (Text("A cat."),))]])
def test_what_a_result_shows_is_shown_even_if_nothing_is_said_to_it(after: list[Message]) -> None:
    said = told(user(ToolResult("1", (Image(url="https://a/b"),))), *after)
    assert [message["role"] for message in said[:2]] == ["tool", "user"]
    assert said[1]["content"] == [{"type": "image_url", "image_url": {"url": "https://a/b"}}]


def test_images_and_files() -> None:
    (said,) = told(
        user(
            Text("Look"),
            Image(url="https://a.example/b.png", detail="low"),
            Document("application/pdf", "JVBERi0=", name="a.pdf"),
            Document(text="Once upon", name="tale.txt"),
        )
    )
    assert said["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "text", "text": "tale.txt\n\nOnce upon"},
    ]


def test_what_only_another_provider_knows_stays_out() -> None:
    said = told(
        Message("assistant", (Thinking("Hm.", "sig"), RedactedThinking("x"), Refusal("No."))),
        user(Opaque("anthropic", {"type": "x"}), Text("Hi")),
        user(Opaque("openai_chat", {"type": "input_audio"}), Text("Hi")),
    )
    assert [message["content"] for message in said] == [
        "No.",
        "Hi",
        [{"type": "input_audio"}, {"type": "text", "text": "Hi"}],
    ]


def test_earlier_reasoning_goes_to_models_that_want_it() -> None:
    (said,) = told(
        Message("assistant", (Thinking("2 and 2."), Text("4"))), asking=Asking(earlier_reasoning="reasoning_content")
    )
    assert said == {"role": "assistant", "content": "4", "reasoning_content": "2 and 2."}


MARKED = (
    Message("system", (Text("Long", CacheMark("1h")),)),
    user(Text("Hi"), Image(url="https://a", cache=CacheMark())),
)


def test_marks_go_to_who_reads_them() -> None:
    assert told(*MARKED, asking=Asking(cache="marks"), caches=True) == [
        {
            "role": "system",
            "content": [{"type": "text", "text": "Long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi"},
                {
                    "type": "image_url",
                    "image_url": {"url": "https://a"},
                    "cache_control": {"type": "ephemeral", "ttl": "5m"},
                },
            ],
        },
    ]


@pytest.mark.parametrize(("cache", "caches"), [("retention", True), ("marks", False)])
def test_marks_go_to_nobody_else(cache: Any, caches: bool) -> None:
    assert "cache_control" not in str(told(*MARKED, asking=Asking(cache=cache), caches=caches))


def test_a_marked_result_marks_its_last_text() -> None:
    (said,) = told(
        user(ToolResult("1", (Text("a"), Text("b")), cache=CacheMark())), asking=Asking(cache="marks"), caches=True
    )
    assert said["content"][1] == {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "5m"}}


def test_how_a_provider_is_told_to_cache() -> None:
    chat = Chat((HELLO,), cache=CacheMark(), cache_retention="24h", extras={"openai_chat": {"prompt_cache_key": "k"}})
    assert asked(chat) == {"prompt_cache_retention": "24h", "prompt_cache_key": "k"}
    assert asked(chat, cache="marks") == {"cache_control": {"type": "ephemeral", "ttl": "5m"}}
    assert "prompt_cache_key" not in body(Shape("m"), chat)


WEATHER = Tool("f", "Tells it.", {"type": "object"}, strict=True)


def test_tools() -> None:
    assert asked(Chat((HELLO,), tools=(WEATHER, Tool("g"), Tool("web_search", dialect="anthropic")))) == {
        "tools": [
            {
                "type": "function",
                "function": {"name": "f", "description": "Tells it.", "parameters": {"type": "object"}, "strict": True},
            },
            {"type": "function", "function": {"name": "g"}},
        ]
    }


@pytest.mark.parametrize(
    ("choice", "fields"),
    [
        (None, {}),
        (ToolChoice("required"), {"tool_choice": "required"}),
        (ToolChoice("none", parallel=True), {"tool_choice": "none", "parallel_tool_calls": True}),
        (
            ToolChoice("named", "f", parallel=False),
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choice(choice: ToolChoice | None, fields: dict[str, Any]) -> None:
    sent = asked(Chat((HELLO,), tools=(WEATHER,), tool_choice=choice))
    del sent["tools"]
    assert sent == fields
    assert asked(Chat((HELLO,), tool_choice=choice)) == {}


def test_response_format() -> None:
    assert asked(Chat((HELLO,), response_format=ResponseFormat("json_object"))) == {
        "response_format": {"type": "json_object"}
    }
    schema = ResponseFormat("json_schema", None, {"type": "object"}, strict=True)
    assert asked(Chat((HELLO,), response_format=schema)) == {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        }
    }


@pytest.mark.parametrize(
    ("way", "reasoning", "fields"),
    [
        ("effort", Reasoning("xhigh"), {"reasoning_effort": "xhigh"}),
        ("effort", Reasoning("none"), {"reasoning_effort": "none"}),
        # 500 of 1,000 tokens is what "medium" stands for.
        ("effort", Reasoning(max_tokens=500), {"reasoning_effort": "medium"}),
        ("effort", Reasoning(adaptive=True), {}),
        ("object", Reasoning("low", 300), {"reasoning": {"effort": "low", "max_tokens": 300}}),
        ("none", Reasoning("high"), {}),
        (
            "vllm",
            Reasoning("max", 300),
            {
                "reasoning_effort": "high",
                "thinking_token_budget": 300,
                "chat_template_kwargs": {"enable_thinking": True, "thinking": True},
            },
        ),
        ("vllm", Reasoning("none"), {"chat_template_kwargs": {"enable_thinking": False, "thinking": False}}),
    ],
)
def test_reasoning_is_asked_for_in_the_words_of_the_row(way: Any, reasoning: Reasoning, fields: dict[str, Any]) -> None:
    sent = asked(Chat((HELLO,), Sampling(max_output_tokens=1000), reasoning=reasoning), reasoning=way)
    del sent["max_tokens"]
    assert sent == fields


@pytest.mark.parametrize("way", ["effort", "object", "vllm", "none"])
def test_a_model_that_does_not_reason_hears_nothing_of_it(way: Any) -> None:
    chat = Chat((HELLO,), reasoning=Reasoning("none"))
    assert body(Shape("m", Asking(reasoning=way)), chat) == body(Shape("m"), Chat((HELLO,)))
