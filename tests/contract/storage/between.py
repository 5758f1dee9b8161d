"""A wire between a client and Redis that a test can mute, hold or cut, as networks do."""

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Final, Self

from storage.redis_wire import RedisAddress

ACCEPTING_TURNS: Final = 3
"""Turns of the loop from a socket accepted to its `_accept`: a server that closes between them loses the socket."""


class Between:
    """Listens on a free port and passes bytes on; what Redis says while `muted` is set is lost for good."""

    def __init__(self, redis_url: str) -> None:
        self._address = RedisAddress.parse(redis_url)
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.muted = False
        self.connections = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", getattr(self, "port", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Takes no more connections, and ends those there are."""
        for listening in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listening.fileno())
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        self._run(self._join(reader, writer))

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._address.path is not None:
            behind = await asyncio.open_unix_connection(self._address.path)
        else:
            behind = await asyncio.open_connection(self._address.host, self._address.port)
        self._writers.append(behind[1])
        self._run(self._pump(reader, behind[1], from_redis=False))
        self._run(self._pump(behind[0], writer, from_redis=True))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, from_redis: bool) -> None:
        try:
            while data := await source.read(65536):
                if not (from_redis and self.muted):
                    sink.write(data)
                    await sink.drain()
        except OSError:
            pass  # the test cut it
        finally:
            sink.transport.abort()
