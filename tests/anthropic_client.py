"""Anthropic's own client, reading bytes that a test has made."""

from collections.abc import Mapping
from typing import Any, Final

import httpx2
from anthropic import AsyncAnthropic
from anthropic.types import Message, RawMessageStreamEvent

ASKED: Final[Mapping[str, Any]] = {
    "model": "m",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}


def client(
    body: bytes, content_type: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> AsyncAnthropic:
    """A client that is answered with these bytes whatever it asks."""

    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": content_type, **(headers or {})})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return AsyncAnthropic(api_key="k", base_url="http://door", http_client=http, max_retries=0)


async def read_events(body: bytes) -> list[RawMessageStreamEvent]:
    async with client(body, "text/event-stream") as anthropic:
        return [event async for event in await anthropic.messages.create(**ASKED, stream=True)]


async def read_stream(body: bytes) -> tuple[list[Any], Message]:
    """What the client's stream helper fires, and the message it puts together."""
    async with client(body, "text/event-stream") as anthropic, anthropic.messages.stream(**ASKED) as stream:
        events = [event async for event in stream]
        return events, await stream.get_final_message()


async def read_message(body: bytes) -> Message:
    async with client(body, "application/json") as anthropic:
        return await anthropic.messages.create(**ASKED)
