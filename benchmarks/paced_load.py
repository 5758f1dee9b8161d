"""A load that comes at its own pace, whatever the platform makes of it."""

import asyncio
import time
from collections.abc import Sequence

from benchmarks.http_client import Address, Answer, Connection
from benchmarks.load import Target, Wish, body


class Pace:
    """Asks one target so many times a second; connections stay open, and there are as many as it takes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._address = Address.parse(target.base_url, target.door.path)
        self._free: list[Connection] = []
        self._all: list[Connection] = []

    async def ask(self, wishes: Sequence[Wish], per_s: float) -> list[Answer]:
        """The answers to all, each wish asked at its time."""
        began, asking = time.perf_counter(), []
        for number, wish in enumerate(wishes):
            await asyncio.sleep(max(0.0, began + number / per_s - time.perf_counter()))
            asking.append(asyncio.create_task(self._one(wish)))
        return await asyncio.gather(*asking)

    def close(self) -> None:
        for connection in self._all:
            connection.close()

    async def _one(self, wish: Wish) -> Answer:
        connection = self._free.pop() if self._free else self._opened()
        request = self._address.request(self._target.key, body(self._target.door, wish))
        try:
            return await connection.ask(request, stream=wish.stream)
        finally:
            self._free.append(connection)

    def _opened(self) -> Connection:
        connection = Connection(self._address, self._target.door)
        self._all.append(connection)
        return connection
