"""How each door is asked for what the matrix has, by its official client, and what the client makes of the answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import anthropic
import openai

from tests.matrix_providers import BAD, PARAMETERS, PNG, SCHEMA

QUESTION: Final = "What is it?"
MOST_TOKENS: Final = 2000


@dataclass
class Said:
    """What a client has read, in words that no dialect has; `failed` is what went wrong, as the client tells it."""

    text: str = ""
    reasoning: str = ""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    finish: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    status: int | None = None
    failed: str | None = None


@dataclass(frozen=True)
class Site:
    """A running Penstock, as a client knows it."""

    url: str
    secret: str


Ask = Callable[[Site, str, str, bool], Awaitable[Said]]
"""Asks a model for a feature, streaming or not."""

FUNCTION: Final[Any] = {"name": "weather", "description": "Tells it.", "parameters": PARAMETERS}
IMAGE: Final = "data:image/png;base64," + PNG

CHAT_FIELDS: Final[Mapping[str, Any]] = {
    "tools": {"tools": [{"type": "function", "function": FUNCTION}]},
    "reasoning": {"reasoning_effort": "high"},
    "json_schema": {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
    "stop": {"stop": "END"},
}


async def chat(site: Site, model: str, feature: str, stream: bool) -> Said:
    parts: list[Any] = [{"type": "text", "text": QUESTION}]
    if feature == "image":
        parts.append({"type": "image_url", "image_url": {"url": IMAGE}})
    said = Said()
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    async with _openai(site) as client:
        try:
            answer: Any = await client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": parts}],
                max_completion_tokens=MOST_TOKENS,
                **CHAT_FIELDS.get(feature, {}),
                **options,
            )
            await (_read_chat_stream(answer, said) if stream else _read_chat(answer, said))
        except openai.APIError as error:
            _fail(said, error)
    return said


async def _read_chat(answer: Any, said: Said) -> None:
    message = answer.choices[0].message
    said.text = message.content or ""
    said.reasoning = getattr(message, "reasoning_content", None) or ""
    said.calls = [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or ()]
    said.finish = answer.choices[0].finish_reason
    _count_chat(answer.usage, said)


async def _read_chat_stream(answer: Any, said: Said) -> None:
    calls: dict[int, list[str]] = {}
    async for chunk in answer:
        if chunk.usage is not None:
            _count_chat(chunk.usage, said)
        for choice in chunk.choices:
            said.text += choice.delta.content or ""
            said.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            said.finish = choice.finish_reason or said.finish
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, [piece.function.name, ""])
                call[1] += piece.function.arguments or ""
    said.calls = [(name, json.loads(arguments)) for name, arguments in calls.values()]


def _count_chat(usage: Any, said: Said) -> None:
    said.input_tokens, said.output_tokens = usage.prompt_tokens, usage.completion_tokens
    said.cached_tokens = usage.prompt_tokens_details.cached_tokens


RESPONSES_FIELDS: Final[Mapping[str, Any]] = {
    "tools": {"tools": [{"type": "function", **FUNCTION, "strict": False}]},
    "reasoning": {"reasoning": {"effort": "high"}},
    "json_schema": {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}},
    "stop": {"extra_body": {"stop": ["END"]}},
}


async def responses(site: Site, model: str, feature: str, stream: bool) -> Said:
    parts: list[Any] = [{"type": "input_text", "text": QUESTION}]
    if feature == "image":
        parts.append({"type": "input_image", "image_url": IMAGE, "detail": "auto"})
    said = Said()
    async with _openai(site) as client:
        try:
            answer: Any = await client.responses.create(
                model=model,
                input=[{"role": "user", "content": parts}],
                max_output_tokens=MOST_TOKENS,
                stream=stream,
                **RESPONSES_FIELDS.get(feature, {}),
            )
            if stream:
                answer = [event async for event in answer][-1].response
            _read_response(answer, said)
        except openai.APIError as error:
            _fail(said, error)
    return said


def _read_response(response: Any, said: Said) -> None:
    said.text = response.output_text
    for item in response.output:
        if item.type == "reasoning":
            said.reasoning += "".join(part.text for part in item.content or ())
        if item.type == "function_call":
            said.calls.append((item.name, json.loads(item.arguments)))
    if response.status == "failed":
        said.failed = response.error.message
    elif response.status == "completed":
        said.finish = "tool_calls" if said.calls else "stop"
        usage = response.usage
        said.input_tokens, said.output_tokens = usage.input_tokens, usage.output_tokens
        said.cached_tokens = usage.input_tokens_details.cached_tokens


MESSAGES_FIELDS: Final[Mapping[str, Any]] = {
    "tools": {"tools": [{"name": "weather", "description": "Tells it.", "input_schema": PARAMETERS}]},
    "reasoning": {"thinking": {"type": "enabled", "budget_tokens": 1600}},
    "json_schema": {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    "stop": {"stop_sequences": ["END"]},
}
FINISHES: Final = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls"}


async def messages(site: Site, model: str, feature: str, stream: bool) -> Said:
    parts: list[Any] = [{"type": "text", "text": QUESTION}]
    if feature == "image":
        source = {"type": "base64", "media_type": "image/png", "data": PNG}
        parts.append({"type": "image", "source": source})
    said = Said()
    asked: Any = {
        "model": model,
        "max_tokens": MOST_TOKENS,
        "messages": [{"role": "user", "content": parts}],
        **MESSAGES_FIELDS.get(feature, {}),
    }
    async with anthropic.AsyncAnthropic(base_url=site.url, api_key=site.secret, max_retries=0) as client:
        try:
            if stream:
                async with client.messages.stream(**asked) as events:
                    message: Any = await events.get_final_message()
            else:
                message = await client.messages.create(**asked)
        except anthropic.APIStatusError as error:
            said.status, said.failed = error.status_code, error.message
            return said
    for block in message.content:
        match block.type:
            case "text":
                said.text += block.text
            case "thinking":
                said.reasoning += block.thinking
            case "tool_use":
                said.calls.append((block.name, block.input))
    said.finish = FINISHES[message.stop_reason]
    said.cached_tokens = message.usage.cache_read_input_tokens
    said.input_tokens = message.usage.input_tokens + said.cached_tokens
    said.output_tokens = message.usage.output_tokens
    return said


async def completions(site: Site, model: str, feature: str, stream: bool) -> Said:
    said = Said()
    stop: Any = {"stop": "END"} if feature == "stop" else {}
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    async with _openai(site) as client:
        try:
            answer: Any = await client.completions.create(
                model=model, prompt=QUESTION, max_tokens=MOST_TOKENS, **stop, **options
            )
            for chunk in [chunk async for chunk in answer] if stream else [answer]:
                for choice in chunk.choices:
                    said.text += choice.text
                    said.finish = choice.finish_reason or said.finish
                if chunk.usage is not None:
                    _count_chat(chunk.usage, said)
        except openai.APIError as error:
            _fail(said, error)
    return said


DOORS: Final[Mapping[str, Ask]] = {
    "/v1/chat/completions": chat,
    "/v1/responses": responses,
    "/v1/messages": messages,
    "/v1/completions": completions,
}


def refused_by_upstream(said: Said) -> bool:
    return said.failed is not None and BAD in said.failed


def _openai(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=site.url + "/v1", api_key=site.secret, max_retries=0)


def _fail(said: Said, error: openai.APIError) -> None:
    said.failed = error.message
    said.status = error.status_code if isinstance(error, openai.APIStatusError) else None
