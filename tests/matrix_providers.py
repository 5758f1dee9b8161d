"""How each provider's dialect says what the matrix asks of it, and how it is asked."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests import anthropic_upstream as messages
from tests import responses_upstream as responses
from tests import upstream as chat
from tests.upstream import CUT, Reply

PNG: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg=="
SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}
PARAMETERS: Final[Mapping[str, Any]] = {"type": "object", "properties": {"city": {"type": "string"}}}
ARGUMENTS: Final = ('{"city"', ': "Paris"}')
BAD: Final = "There is no such thing."

Asked = Callable[[Any], object]


@dataclass(frozen=True)
class Provider:
    """`replies` answer a feature; `asked` finds in the request's body what was asked for it."""

    model: str
    target: str
    replies: Mapping[str, Reply]
    asked: Mapping[str, Asked]


def _chat_delta(**fields: Any) -> bytes:
    return chat.chunk({"index": 0, "delta": fields, "finish_reason": None})


def _chat_call(arguments: str, **fields: Any) -> bytes:
    name = fields.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return _chat_delta(tool_calls=[{"index": 0, **fields, "function": function}])


def _chat(*steps: bytes, finish: str = "stop") -> Reply:
    return Reply([chat.opening(), *steps, chat.finish(finish), chat.usage(11, 3, 4), chat.DONE])


CHAT: Final = Provider(
    "able-chat",
    "/v1/chat/completions",
    {
        "text": _chat(chat.text("Good"), chat.text(" morning")),
        "tools": _chat(
            _chat_call("", id="call_1", type="function", name="weather"),
            *(_chat_call(piece) for piece in ARGUMENTS),
            finish="tool_calls",
        ),
        "reasoning": _chat(_chat_delta(reasoning_content="Hm"), _chat_delta(reasoning_content="."), chat.text("4")),
        "image": _chat(chat.text("A dot")),
        "json_schema": _chat(chat.text('{"n": 4}')),
        "stop": _chat(chat.text("Good")),
        "cut": Reply([chat.opening(), chat.text("Good"), CUT]),
        "error": chat.refusal(400, {"message": BAD, "type": "invalid_request_error", "param": None, "code": None}),
    },
    {
        "tools": lambda body: body["tools"][0]["function"]["parameters"] == PARAMETERS,
        "reasoning": lambda body: body["reasoning_effort"] == "high",
        "image": lambda body: body["messages"][-1]["content"][-1]["image_url"]["url"] == "data:image/png;base64," + PNG,
        "json_schema": lambda body: body["response_format"]["json_schema"]["schema"] == SCHEMA,
        "stop": lambda body: body["stop"] == ["END"],
    },
)

_R_END: Final = responses.end(11, 3, cached_tokens=4)

RESPONSES: Final = Provider(
    "able-responses",
    "/v1/responses",
    {
        "text": responses.stream(responses.text(0, "Good", " morning"), _R_END),
        "tools": responses.stream(responses.call(0, "call_1", "weather", *ARGUMENTS), _R_END),
        "reasoning": responses.stream(responses.reasoning(0, "Hm", "."), responses.text(1, "4"), _R_END),
        "image": responses.stream(responses.text(0, "A dot"), _R_END),
        "json_schema": responses.stream(responses.text(0, '{"n": 4}'), _R_END),
        "cut": responses.stream(responses.text_delta("Good"), [CUT]),
        "error": chat.refusal(400, {"message": BAD, "type": "invalid_request_error", "param": None, "code": None}),
    },
    {
        "tools": lambda body: body["tools"][0]["parameters"] == PARAMETERS,
        "reasoning": lambda body: body["reasoning"]["effort"] == "high",
        "image": lambda body: body["input"][-1]["content"][-1]["image_url"] == "data:image/png;base64," + PNG,
        "json_schema": lambda body: body["text"]["format"]["schema"] == SCHEMA,
    },
)

_M_INPUT: Final = 7
"""What Anthropic counts beside the 4 that a cache had: 11 in all."""


def _messages(*parts: Any, stop_reason: str = "end_turn", stop_sequence: str | None = None) -> Reply:
    end = messages.end(stop_reason, 3, stop_sequence, cache_read_input_tokens=4)
    return messages.stream(*parts, end, input_tokens=_M_INPUT)


def _budget(body: Any) -> bool:
    """80 % of the output limit is what "high" stands for."""
    thinking = body["thinking"]
    return bool(thinking["type"] == "enabled" and thinking["budget_tokens"] == 0.8 * body["max_tokens"])


MESSAGES: Final = Provider(
    "able-messages",
    "/v1/messages",
    {
        "text": _messages(messages.text(0, "Good", " morning")),
        "tools": _messages(messages.tool_use(0, "call_1", "weather", *ARGUMENTS), stop_reason="tool_use"),
        "reasoning": _messages(messages.thinking(0, "Hm", "."), messages.text(1, "4")),
        "image": _messages(messages.text(0, "A dot")),
        "json_schema": _messages(messages.text(0, '{"n": 4}')),
        "stop": _messages(messages.text(0, "Good"), stop_reason="stop_sequence", stop_sequence="END"),
        "cut": messages.stream(messages.text(0, "Good")[:2], [CUT]),
        "error": messages.refusal(400, "invalid_request_error", BAD),
    },
    {
        "tools": lambda body: body["tools"][0]["input_schema"] == PARAMETERS,
        "reasoning": _budget,
        "image": lambda body: body["messages"][-1]["content"][-1]["source"]["data"] == PNG,
        "json_schema": lambda body: body["output_config"]["format"]["schema"] == SCHEMA,
        "stop": lambda body: body["stop_sequences"] == ["END"],
    },
)

PROVIDERS: Final[Mapping[str, Provider]] = {
    "openai_compatible": CHAT,
    "openai_responses": RESPONSES,
    "anthropic": MESSAGES,
}


def arguments() -> Any:
    return json.loads("".join(ARGUMENTS))
