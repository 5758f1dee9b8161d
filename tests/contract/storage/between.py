"""A wire between a client and Redis that a test can mute, hold or cut, as networks do."""

import asyncio
from types import TracebackType
from typing import Self

from storage.redis_wire import RedisAddress


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
        return f"redis://127.0.0.1:{self._port}/0"

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", getattr(self, "_port", 0))
        self._port: int = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Takes no more connections, and ends those there are."""
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.refuse()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self._address.path is not None:
            behind = await asyncio.open_unix_connection(self._address.path)
        else:
            behind = await asyncio.open_connection(self._address.host, self._address.port)
        self._writers += [writer, behind[1]]
        for source, sink, from_redis in ((reader, behind[1], False), (behind[0], writer, True)):
            task = asyncio.create_task(self._pump(source, sink, from_redis))
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
