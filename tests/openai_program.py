"""What an official OpenAI client, of whatever age, sees of a Penstock: run as a program, prints JSON.

python tests/openai_program.py BASE_URL KEY MODEL
"""

import asyncio
import json
import sys
from typing import Any

import openai

WORDS = "Greet me."
QUESTION: Any = [{"role": "user", "content": WORDS}]
LEAST = 16
"""The bound of every answer, so that a real model is soon done; Responses takes no lower one."""


def synchronous(base_url: str, key: str, model: str) -> dict[str, Any]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "messages": QUESTION, "max_tokens": LEAST}
        chat = client.chat.completions.create(**asked, n=1, stop=["END"], seed=3)
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
        prompted: dict[str, Any] = {"model": model, "prompt": WORDS, "max_tokens": LEAST}
        pieces = list(client.completions.create(**prompted, stream=True))
        return {
            "chat": chat.choices[0].message.content,
            "chat_tokens": chat.usage.total_tokens if chat.usage else None,
            "chat_streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
            "chat_streamed_tokens": chunks[-1].usage.total_tokens if chunks[-1].usage else None,
            "completion": client.completions.create(**prompted).choices[0].text,
            "completion_streamed": "".join(choice.text for piece in pieces for choice in piece.choices),
            **responses(client, model),
        }


def responses(client: openai.OpenAI, model: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"model": model, "input": WORDS, "max_output_tokens": LEAST}
    first = client.responses.create(**asked)
    with client.responses.stream(**asked, previous_response_id=first.id) as stream:
        events = list(stream)
    waiting = client.responses.create(**asked, background=True)
    while waiting.status in ("queued", "in_progress"):
        waiting = client.responses.retrieve(waiting.id)
    client.responses.delete(first.id)
    return {
        "response": first.output_text,
        "response_streamed": deltas(events),
        "response_begins": events[0].type,
        "response_in_background": waiting.output_text,
        "response_deleted": raised(lambda: client.responses.retrieve(first.id)),
    }


def deltas(events: list[Any]) -> str:
    """The text as it came; the client's own final response wants one that was not cut at its bound."""
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def about(base_url: str, key: str, model: str) -> dict[str, Any]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "messages": QUESTION}
        return {
            "version": openai.__version__,
            "models": [each.id for each in client.models.list()],
            "model": client.models.retrieve(model).id,
            "invalid": raised(lambda: client.chat.completions.create(**asked, temperature=9)),
            "unknown": raised(lambda: client.chat.completions.create(**{**asked, "model": "nothing"})),
        }


def raised(ask: Any) -> list[str | None]:
    try:
        ask()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.code, error.param]
    return []


async def asynchronous(base_url: str, key: str, model: str) -> dict[str, Any]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        asked: dict[str, Any] = {"model": model, "messages": QUESTION, "max_tokens": LEAST}
        chat = await client.chat.completions.create(**asked)
        chunks = [chunk async for chunk in await client.chat.completions.create(**asked, stream=True)]
        prompted: dict[str, Any] = {"model": model, "prompt": WORDS, "max_tokens": LEAST}
        completion = await client.completions.create(**prompted)
        pieces = [piece async for piece in await client.completions.create(**prompted, stream=True)]
        answered: dict[str, Any] = {"model": model, "input": WORDS, "max_output_tokens": LEAST, "store": False}
        response = await client.responses.create(**answered)
        async with client.responses.stream(**answered) as stream:
            events = [event async for event in stream]
        return {
            "async_chat": chat.choices[0].message.content,
            "async_chat_streamed": "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices),
            "async_completion": completion.choices[0].text,
            "async_completion_streamed": "".join(choice.text for piece in pieces for choice in piece.choices),
            "async_response": response.output_text,
            "async_response_streamed": deltas(events),
        }


if __name__ == "__main__":
    address = sys.argv[1], sys.argv[2], sys.argv[3]
    print(json.dumps({**about(*address), **synchronous(*address), **asyncio.run(asynchronous(*address))}))
