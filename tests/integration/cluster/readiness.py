"""Waits until a server answers, or has died."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final

import httpx2

from storage.local.child import Child
from storage.local.failure import StartFailed

READY_S: Final = 60.0
LOOK_S: Final = 0.05


async def ready(child: Child, looking: Awaitable[None]) -> Child:
    """The child, once what looks for its answer has returned; raises StartFailed, and leaves none."""
    look, death = asyncio.ensure_future(looking), asyncio.ensure_future(child.wait())
    try:
        await asyncio.wait((look, death), timeout=READY_S, return_when=asyncio.FIRST_COMPLETED)
        if look.done():
            look.result()
            return child
    finally:
        look.cancel()
        death.cancel()
    failure = child.died() if death.done() else StartFailed(f"{child.name} is not ready (log: {child.log})")
    await child.stop(0)
    raise failure


async def answers(host: str, port: int, said: bytes, *expected: bytes) -> None:
    """Returns when the line that answers what is `said` begins as `expected`."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(said)
            line = await reader.readline()
            writer.close()
            if line.startswith(expected):
                return
        await asyncio.sleep(LOOK_S)


async def serves(url: str) -> None:
    async with httpx2.AsyncClient(trust_env=False) as http:
        while True:
            with suppress(httpx2.TransportError):
                if (await http.get(url)).status_code == 200:
                    return
            await asyncio.sleep(LOOK_S)
