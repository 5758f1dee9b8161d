"""What is asked of a model, in words that no dialect has, and how vLLM itself is asked for it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from tests.integration.vllm.engine import VLLM

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Oslo", "Rome"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 3},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
TOOL: Final = "weather"


@dataclass(frozen=True)
class Question:
    """`tool` names a tool that has to be called; `answered` puts a call of it and its result into the conversation."""

    text: str = "Tell me what the weather is like in Oslo."
    max_tokens: int = 24
    stop: str | None = None
    schema: bool = False
    tool: bool = False
    answered: bool = False
    effort: str | None = None


QUESTIONS: Final = {
    "text": Question(),
    "stop": Question(),
    "cached": Question("Tell me what the weather is like in Oslo, and answer in a few words. " * 8),
    "json_schema": Question(schema=True, max_tokens=100),
    "tool": Question(tool=True, max_tokens=200),
    "tool_result": Question(answered=True),
    "reasoning": Question(effort="high"),
}


@dataclass
class Answer:
    """What came back; `status`, `code` and `message` are of a refusal."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    finish: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    code: str | None = None
    message: str | None = None


FUNCTION: Final[Any] = {"name": TOOL, "description": "Tells it.", "parameters": SCHEMA, "strict": True}
CALL_ID: Final = "call_0123456789ab"
ARGUMENTS: Final = '{"city": "Oslo", "days": 2}'
RESULT: Final = "Rain, then sun."


def chat_fields(question: Question) -> dict[str, Any]:
    """A request of chat completions."""
    messages: list[Any] = [{"role": "user", "content": question.text}]
    fields: dict[str, Any] = {"messages": messages, "max_tokens": question.max_tokens}
    if question.stop is not None:
        fields["stop"] = [question.stop]
    if question.schema:
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}
    if question.tool or question.answered:
        fields["tools"] = [{"type": "function", "function": FUNCTION}]
    if question.tool:
        fields["tool_choice"] = {"type": "function", "function": {"name": TOOL}}
    if question.answered:
        call = {"id": CALL_ID, "type": "function", "function": {"name": TOOL, "arguments": ARGUMENTS}}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": CALL_ID, "content": RESULT})
        fields["tool_choice"] = "none"
    if question.effort is not None:
        fields["reasoning_effort"] = question.effort
    return fields


async def ask_directly(engine: VLLM, question: Question, **more: Any) -> Answer:
    """vLLM's own answer, the second time it is asked: what can come from its cache then does, as it will again."""
    await engine.post("/v1/chat/completions", **chat_fields(question), **more)
    status, body = await engine.post("/v1/chat/completions", **chat_fields(question), **more)
    if status != 200:
        return Answer(status=status, message=body["error"]["message"])
    choice, usage = body["choices"][0], body["usage"]
    message = choice["message"]
    calls = [(call["function"]["name"], call["function"]["arguments"]) for call in message.get("tool_calls") or ()]
    return Answer(
        text=message["content"] or "",
        reasoning=message["reasoning"] or "",
        calls=calls,
        finish="tool_calls" if calls else choice["finish_reason"],
        input_tokens=usage["prompt_tokens"],
        cached_tokens=usage["prompt_tokens_details"]["cached_tokens"],
        output_tokens=usage["completion_tokens"],
    )


async def steered(engine: VLLM, feature: str) -> tuple[Question, Answer]:
    """The question of a feature, and vLLM's own answer to it, which shows what it is about."""
    question = QUESTIONS[feature]
    if feature == "stop":
        said = (await ask_directly(engine, question)).text
        question = replace(question, stop=said[len(said) // 2 :][:3])
    direct = await ask_directly(engine, question)
    assert shows(feature, direct), "the model was not steered to what this cell is about"
    return question, direct


def plain(answer: Answer) -> dict[str, Any]:
    """The Messages dialect gives arguments as an object, so how they were spaced is lost."""
    return {**vars(answer), "calls": [(name, json.loads(arguments)) for name, arguments in answer.calls]}


def shows(feature: str, answer: Answer) -> bool:
    """Whether vLLM's own answer has what a feature is about."""
    match feature:
        case "stop":
            return answer.finish == "stop" and bool(answer.text)
        case "cached":
            return bool(answer.cached_tokens)
        case "json_schema":
            return set(json.loads(answer.text)) == {"city", "days"}
        case "tool":
            return [(name, set(json.loads(given))) for name, given in answer.calls] == [(TOOL, {"city", "days"})]
        case "reasoning":
            return bool(answer.reasoning)
        case _:
            return bool(answer.text)
