"""What an official client of Anthropic's, of whatever age, sees of a Penstock: run as a program, prints JSON.

python tests/anthropic_program.py URL KEY MODEL
"""

import asyncio
import json
import sys
from typing import Any

import anthropic


def asked_of(model: str) -> dict[str, Any]:
    return {
        "model": model,
        "max_tokens": 16,
        "messages": [{"role": "user", "content": "Greet me."}],
        # 0.x has words of its own for these, later ones have not; all send them.
        "extra_body": {"temperature": 0.5, "top_p": 0.9},
    }


def synchronous(url: str, key: str, model: str) -> dict[str, Any]:
    asked = asked_of(model)
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        whole = client.messages.create(**asked)
        with client.messages.stream(**asked) as stream:
            streamed = "".join(stream.text_stream)
            final = stream.get_final_message()
        # The beta client puts `?beta=true` behind the path, and its betas into a header.
        beta = client.beta.messages.create(**asked, betas=["made-up-2031-01-01"])
        return {
            "whole": said(whole),
            "tokens": whole.usage.input_tokens + whole.usage.output_tokens,
            "streamed": streamed,
            "streamed_tokens": final.usage.input_tokens + final.usage.output_tokens,
            "role": final.role,
            "beta": said(beta),
            "counted": client.messages.count_tokens(model=model, messages=asked["messages"]).input_tokens,
        }


def about(url: str, key: str, model: str) -> dict[str, Any]:
    asked = asked_of(model)
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        return {
            "version": anthropic.__version__,
            "models": [each.id for each in client.models.list()],
            "invalid": raised(client, {**asked, "max_tokens": -1}),
            "unknown": raised(client, {**asked, "model": "nothing"}),
        }


def said(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def raised(client: anthropic.Anthropic, asked: dict[str, Any]) -> list[Any]:
    try:
        client.messages.create(**asked)
    except anthropic.APIStatusError as error:
        body: Any = error.body
        return [type(error).__name__, body["error"]["type"], error.request_id == body["request_id"]]
    return []


async def asynchronous(url: str, key: str, model: str) -> dict[str, Any]:
    asked = asked_of(model)
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        whole = await client.messages.create(**asked)
        async with client.messages.stream(**asked) as stream:
            streamed = "".join([piece async for piece in stream.text_stream])
        counted = await client.messages.count_tokens(model=model, messages=asked["messages"])
        return {"async_whole": said(whole), "async_streamed": streamed, "async_counted": counted.input_tokens}


if __name__ == "__main__":
    address = sys.argv[1], sys.argv[2], sys.argv[3]
    print(json.dumps({**about(*address), **synchronous(*address), **asyncio.run(asynchronous(*address))}))
