"""What the official client of an earlier age, openai 1.x, sees of a Penstock: run as a program, prints JSON.

python tests/old_openai.py BASE_URL KEY
"""

import asyncio
import json
import sys
from typing import Any

import openai

QUESTION: Any = [{"role": "user", "content": "Greet me."}]


def synchronous(base_url: str, key: str) -> dict[str, Any]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        reply = client.chat.completions.create(model="scripted", messages=QUESTION, n=1, stop=["END"], seed=3)
        events = list(
            client.chat.completions.create(
                model="scripted", messages=QUESTION, stream=True, stream_options={"include_usage": True}
            )
        )
        return {
            "version": openai.__version__,
            "whole": reply.choices[0].message.content,
            "total_tokens": reply.usage.total_tokens if reply.usage else None,
            "streamed": "".join(choice.delta.content or "" for event in events for choice in event.choices),
            "streamed_tokens": events[-1].usage.total_tokens if events[-1].usage else None,
            **responses(client),
            "models": [model.id for model in client.models.list()],
            "model": client.models.retrieve("scripted").id,
            "errors": [raised(client, **fields) for fields in ({"temperature": 9}, {"model": "nothing"})],
        }


def responses(client: openai.OpenAI) -> dict[str, Any]:
    first = client.responses.create(model="scripted", input="Greet me.")
    with client.responses.stream(model="scripted", input="Again.", previous_response_id=first.id) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    waiting = client.responses.create(model="scripted", input="Greet me.", background=True)
    while waiting.status in ("queued", "in_progress"):
        waiting = client.responses.retrieve(waiting.id)
    return {
        "response": first.output_text,
        "response_streamed": final.output_text,
        "response_ends": [kinds[0], kinds[-1]],
        "response_in_background": waiting.output_text,
        "completion": client.completions.create(model="scripted", prompt="Greet me.").choices[0].text,
    }


def raised(client: openai.OpenAI, **fields: Any) -> list[str | None]:
    try:
        client.chat.completions.create(**{"model": "scripted", "messages": QUESTION, **fields})
    except openai.APIStatusError as error:
        return [type(error).__name__, error.code, error.param]
    return []


async def asynchronous(base_url: str, key: str) -> dict[str, Any]:
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        reply = await client.chat.completions.create(model="scripted", messages=QUESTION)
        stream = await client.chat.completions.create(model="scripted", messages=QUESTION, stream=True)
        streamed = [choice.delta.content or "" async for event in stream for choice in event.choices]
        return {"async_whole": reply.choices[0].message.content, "async_streamed": "".join(streamed)}


if __name__ == "__main__":
    address = sys.argv[1], sys.argv[2]
    print(json.dumps({**synchronous(*address), **asyncio.run(asynchronous(*address))}))
