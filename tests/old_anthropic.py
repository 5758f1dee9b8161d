"""What Anthropic's official client of an earlier age sees of a Penstock: run as a program, prints JSON.

python tests/old_anthropic.py URL KEY
"""

import asyncio
import json
import sys
from typing import Any

import anthropic

ASKED: dict[str, Any] = {
    "model": "claude",
    "max_tokens": 50,
    "messages": [{"role": "user", "content": "Greet me."}],
    # 0.x has words of its own for these, later ones have not; all send them.
    "extra_body": {"temperature": 0.5, "top_k": 5},
}


def synchronous(url: str, key: str) -> dict[str, Any]:
    with anthropic.Anthropic(base_url=url, api_key=key, max_retries=0) as client:
        whole = client.messages.create(**ASKED)
        with client.messages.stream(**ASKED) as stream:
            streamed = "".join(stream.text_stream)
            final = stream.get_final_message()
        # The beta client puts `?beta=true` behind the path, and its betas into a header.
        beta = client.beta.messages.create(**ASKED, betas=["made-up-2031-01-01"])
        return {
            "version": anthropic.__version__,
            "whole": [block.to_dict() for block in whole.content],
            "tokens": [whole.usage.input_tokens, whole.usage.output_tokens],
            "streamed": streamed,
            "streamed_tokens": [final.usage.input_tokens, final.usage.output_tokens],
            "stop_reason": final.stop_reason,
            "beta": [block.to_dict() for block in beta.content],
            "counted": client.messages.count_tokens(model="scripted", messages=ASKED["messages"]).input_tokens > 0,
            "models": [model.id for model in client.models.list()],
            "errors": [raised(client, **fields) for fields in ({"max_tokens": -1}, {"model": "nothing"})],
        }


def raised(client: anthropic.Anthropic, **fields: Any) -> list[Any]:
    try:
        client.messages.create(**{**ASKED, **fields})
    except anthropic.APIStatusError as error:
        body: Any = error.body
        return [type(error).__name__, body["error"]["type"], error.request_id == body["request_id"]]
    return []


async def asynchronous(url: str, key: str) -> dict[str, Any]:
    async with anthropic.AsyncAnthropic(base_url=url, api_key=key, max_retries=0) as client:
        whole = await client.messages.create(**ASKED)
        async with client.messages.stream(**ASKED) as stream:
            streamed = "".join([piece async for piece in stream.text_stream])
        return {"async_whole": [block.to_dict() for block in whole.content], "async_streamed": streamed}


if __name__ == "__main__":
    address = sys.argv[1], sys.argv[2]
    print(json.dumps({**synchronous(*address), **asyncio.run(asynchronous(*address))}))
