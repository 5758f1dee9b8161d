import pytest

from ingress.abilities import CHAT_NAMES, Ask, check_abilities
from schemas.catalog import Model
from schemas.chat import (
    CacheMark,
    Chat,
    Document,
    Image,
    Message,
    Reasoning,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.errors import UnsupportedParameter

HELLO = Message("user", (Text("Hello"),))


def model(*can: Ask) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "engine": "openai_compatible",
            "base_url": "http://gpu:8000/v1",
            "context_tokens": 2048,
            "max_output_tokens": 512,
            "inputs": ["text", *(ask for ask in can if ask in ("image", "document"))],
            "abilities": [ask for ask in can if ask not in ("image", "document")],
        }
    )


ASKS: list[tuple[Chat, set[Ask], str]] = [
    (Chat((HELLO,), tools=(Tool("f"),)), {"tools"}, "tools"),
    (Chat((HELLO,), tool_choice=ToolChoice("required")), {"tools"}, "tools"),
    (Chat((HELLO, Message("assistant", (ToolCall("1", "f", "{}"),)))), {"tools"}, "tools"),
    (Chat((Message("user", (ToolResult("1", (Text("4"),)),)),)), {"tools"}, "tools"),
    (Chat((Message("user", (Image(url="https://a/b"),)),)), {"image"}, "messages"),
    (Chat((Message("user", (ToolResult("1", (Image(data="x"),)),)),)), {"tools", "image"}, "tools"),
    (Chat((Message("user", (Document(text="x"),)),)), {"document"}, "messages"),
    (
        Chat((HELLO,), tools=(Tool("f"),), tool_choice=ToolChoice(parallel=False)),
        {"tools", "parallel_tools"},
        "tools",
    ),
    (Chat((HELLO,), response_format=ResponseFormat("json_object")), {"json_object"}, "response_format"),
    (Chat((HELLO,), response_format=ResponseFormat("json_schema")), {"json_schema"}, "response_format"),
    (Chat((HELLO,), reasoning=Reasoning(effort="low")), {"reasoning"}, "reasoning_effort"),
    (Chat((HELLO,), reasoning=Reasoning(max_tokens=1024)), {"reasoning"}, "reasoning_effort"),
    (Chat((HELLO,), reasoning=Reasoning(adaptive=True)), {"reasoning"}, "reasoning_effort"),
]


@pytest.mark.parametrize(("chat", "can", "param"), ASKS)
def test_what_a_model_cannot_do_is_refused_by_name(chat: Chat, can: set[Ask], param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check_abilities(model(), chat)
    assert caught.value.param == param
    check_abilities(model(*can), chat)


@pytest.mark.parametrize(
    "chat",
    [
        Chat((HELLO,)),
        Chat((HELLO,), tool_choice=ToolChoice("none")),
        Chat((HELLO,), reasoning=Reasoning(effort="none")),
        Chat((HELLO,), reasoning=Reasoning()),
        Chat((HELLO, Message("assistant", (Thinking("Hm.", "sig"), Text("Hi"))))),
        Chat((Message("user", (Text("Hello", CacheMark("1h")),)),), cache=CacheMark(), cache_retention="24h"),
    ],
)
def test_hints_and_earlier_thinking_are_taken_by_every_model(chat: Chat) -> None:
    check_abilities(model(), chat)


def test_that_tools_are_called_one_by_one_is_asked_of_who_has_tools() -> None:
    one_by_one = ToolChoice(parallel=False)
    check_abilities(model(), Chat((HELLO,), tool_choice=one_by_one))
    with pytest.raises(UnsupportedParameter) as caught:
        check_abilities(model("tools"), Chat((HELLO,), tools=(Tool("f"),), tool_choice=one_by_one))
    assert caught.value.param == "parallel_tool_calls"


def test_a_dialect_has_its_own_names() -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        check_abilities(
            model(), Chat((HELLO,), reasoning=Reasoning(effort="low")), {**CHAT_NAMES, "reasoning": "thinking"}
        )
    assert caught.value.param == "thinking"
    assert "'thinking'" in caught.value.message
