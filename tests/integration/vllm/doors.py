"""How each door is asked a question by its official client, and what the client makes of the answer."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import anthropic
import openai

from tests.integration.vllm.questions import (
    ARGUMENTS,
    CALL_ID,
    FUNCTION,
    RESULT,
    SCHEMA,
    TOOL,
    Answer,
    Question,
    chat_fields,
)
from tests.matrix_doors import Site

Ask = Callable[[Site, str, Question, bool], Awaitable[Answer]]
"""Asks a model a question, streaming or not."""


def openai_client(site: Site) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=site.url + "/v1", api_key=site.secret, max_retries=0)


def anthropic_client(site: Site) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(base_url=site.url, api_key=site.secret, max_retries=0)


async def chat(site: Site, model: str, question: Question, stream: bool) -> Answer:
    answer = Answer()
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    async with openai_client(site) as client:
        try:
            reply: Any = await client.chat.completions.create(model=model, **chat_fields(question), **options)
        except openai.APIStatusError as error:
            return refused(error)
        if stream:
            calls: dict[int, list[str]] = {}
            async for chunk in reply:
                if chunk.usage is not None:
                    count_chat(chunk.usage, answer)
                for choice in chunk.choices:
                    answer.text += choice.delta.content or ""
                    answer.reasoning += getattr(choice.delta, "reasoning_content", None) or ""
                    answer.finish = choice.finish_reason or answer.finish
                    for piece in choice.delta.tool_calls or ():
                        call = calls.setdefault(piece.index, [piece.function.name, ""])
                        call[1] += piece.function.arguments or ""
            answer.calls = [(name, arguments) for name, arguments in calls.values()]
            return answer
    message = reply.choices[0].message
    answer.text, answer.finish = message.content or "", reply.choices[0].finish_reason
    answer.reasoning = getattr(message, "reasoning_content", None) or ""
    answer.calls = [(call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    count_chat(reply.usage, answer)
    return answer


def count_chat(usage: Any, answer: Answer) -> None:
    answer.input_tokens, answer.output_tokens = usage.prompt_tokens, usage.completion_tokens
    answer.cached_tokens = usage.prompt_tokens_details.cached_tokens


def refused(error: openai.APIStatusError) -> Answer:
    body: Any = error.body
    return Answer(status=error.status_code, code=body["code"], message=body["message"])


async def completions(site: Site, model: str, question: Question, stream: bool) -> Answer:
    answer = Answer()
    options: Any = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    stop: Any = {} if question.stop is None else {"stop": question.stop}
    async with openai_client(site) as client:
        try:
            reply: Any = await client.completions.create(
                model=model, prompt=question.text, max_tokens=question.max_tokens, **stop, **options
            )
        except openai.APIStatusError as error:
            return refused(error)
        for chunk in [chunk async for chunk in reply] if stream else [reply]:
            if chunk.usage is not None:
                count_chat(chunk.usage, answer)
            for choice in chunk.choices:
                answer.text += choice.text
                answer.finish = choice.finish_reason or answer.finish
    return answer


def response_fields(question: Question) -> dict[str, Any]:
    turns: list[Any] = [{"role": "user", "content": question.text}]
    fields: dict[str, Any] = {"input": turns, "max_output_tokens": question.max_tokens}
    if question.stop is not None:
        fields["extra_body"] = {"stop": [question.stop]}
    if question.schema:
        fields["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA}}
    if question.tool or question.answered:
        fields["tools"] = [{"type": "function", **FUNCTION}]
        fields["tool_choice"] = {"type": "function", "name": TOOL} if question.tool else "none"
    if question.answered:
        turns.append({"type": "function_call", "call_id": CALL_ID, "name": TOOL, "arguments": ARGUMENTS})
        turns.append({"type": "function_call_output", "call_id": CALL_ID, "output": RESULT})
    if question.effort is not None:
        fields["reasoning"] = {"effort": question.effort}
    return fields


async def responses(site: Site, model: str, question: Question, stream: bool) -> Answer:
    async with openai_client(site) as client:
        try:
            reply: Any = await client.responses.create(model=model, stream=stream, **response_fields(question))
            if stream:
                reply = [event async for event in reply][-1].response
        except openai.APIStatusError as error:
            return refused(error)
    answer = Answer(reply.output_text)
    for item in reply.output:
        if item.type == "reasoning":
            answer.reasoning += "".join(part.text for part in item.content or ())
        if item.type == "function_call":
            answer.calls.append((item.name, item.arguments))
    done: Any = "tool_calls" if answer.calls else "stop"
    answer.finish = {"completed": done, "incomplete": "length"}[reply.status]
    usage = reply.usage
    answer.input_tokens, answer.output_tokens = usage.input_tokens, usage.output_tokens
    answer.cached_tokens = usage.input_tokens_details.cached_tokens
    return answer


def message_fields(question: Question) -> dict[str, Any]:
    turns: list[Any] = [{"role": "user", "content": question.text}]
    fields: dict[str, Any] = {"messages": turns, "max_tokens": question.max_tokens}
    if question.stop is not None:
        fields["stop_sequences"] = [question.stop]
    if question.schema:
        fields["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
    if question.tool or question.answered:
        tool = {"name": TOOL, "description": FUNCTION["description"], "input_schema": SCHEMA, "strict": True}
        fields["tools"] = [tool]
        fields["tool_choice"] = {"type": "tool", "name": TOOL} if question.tool else {"type": "none"}
    if question.answered:
        call = {"type": "tool_use", "id": CALL_ID, "name": TOOL, "input": json.loads(ARGUMENTS)}
        turns.append({"role": "assistant", "content": [call]})
        result = {"type": "tool_result", "tool_use_id": CALL_ID, "content": RESULT}
        turns.append({"role": "user", "content": [result]})
    if question.effort is not None:
        fields |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": question.effort}}
    return fields


FINISHES: Final[Mapping[str, str]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
}


async def messages(site: Site, model: str, question: Question, stream: bool) -> Answer:
    fields: Any = message_fields(question)
    async with anthropic_client(site) as client:
        try:
            if stream:
                async with client.messages.stream(model=model, **fields) as events:
                    message: Any = await events.get_final_message()
            else:
                message = await client.messages.create(model=model, **fields)
        except anthropic.APIStatusError as error:
            body: Any = error.body
            return Answer(status=error.status_code, code=body["error"]["type"], message=body["error"]["message"])
    assert message.stop_sequence == (None if message.stop_reason == "max_tokens" else question.stop)
    answer = Answer(finish=FINISHES[message.stop_reason])
    for block in message.content:
        match block.type:
            case "text":
                answer.text += block.text
            case "thinking":
                answer.reasoning += block.thinking
            case "tool_use":
                answer.calls.append((block.name, json.dumps(block.input)))
    usage = message.usage
    answer.cached_tokens = usage.cache_read_input_tokens
    answer.input_tokens = usage.input_tokens + answer.cached_tokens + usage.cache_creation_input_tokens
    answer.output_tokens = usage.output_tokens
    return answer


DOORS: Final[Mapping[str, Ask]] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completions,
    "/v1/responses": responses,
    "/v1/messages": messages,
}
