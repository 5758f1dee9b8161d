"""Clients that go on asking while a test breaks something."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import httpx2

from tests.asking import DONE, ask, streaming
from tests.running import Running, until

CLIENTS: Final = 4
PAUSE_S: Final = 0.1
PATIENCE_S: Final = 60.0
TEXT: Final = "Hello there"


@dataclass
class Told:
    """What the clients were told: whole answers, and anything else by what it was."""

    answers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0

    async def until_more(self, count: int, within_s: float = PATIENCE_S) -> None:
        """Returns once so many more answers have come."""
        wanted = self.answers + count

        async def now() -> int:
            return self.answers

        await until(now, lambda answers: answers >= wanted, within_s)


@asynccontextmanager
async def asking_on(running: Running, secret: str, url: str | None = None) -> AsyncIterator[Told]:
    """Half of the clients stream, half wait for whole answers; leaving the block lets the last answers come."""
    told, over = Told(), asyncio.Event()
    async with running.client(secret, url, timeout_s=PATIENCE_S) as http:
        clients = [
            asyncio.create_task(_ask_on(http, told, over, streamed=number % 2 == 0)) for number in range(CLIENTS)
        ]
        try:
            yield told
        finally:
            over.set()
            await asyncio.gather(*clients)


async def _ask_on(http: httpx2.AsyncClient, told: Told, over: asyncio.Event, *, streamed: bool) -> None:
    loop = asyncio.get_running_loop()
    while not over.is_set():
        began_s = loop.time()
        try:
            said = await (_streamed(http) if streamed else _whole(http))
        except httpx2.TransportError as failure:
            said = type(failure).__name__
        told.slowest_s = max(told.slowest_s, loop.time() - began_s)
        if said == TEXT:
            told.answers += 1
        else:
            told.failures[said] += 1
        with suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), PAUSE_S)


async def _streamed(http: httpx2.AsyncClient) -> str:
    async with streaming(http) as stream:
        if stream.response.status_code != 200:
            return f"{stream.response.status_code} {stream.response.text}"
        last = (await stream.rest())[-1]
    return stream.text if last == DONE else f"a stream that ended with {last}"


async def _whole(http: httpx2.AsyncClient) -> str:
    response = await ask(http)
    if response.status_code != 200:
        return f"{response.status_code} {response.text}"
    content: str = response.json()["choices"][0]["message"]["content"]
    return content
