"""An HTTP server of a few lines that keeps what it was sent and answers when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from storage.local.ports import free_port


@dataclass
class Asked:
    """One request's first line, and its headers by their names in small letters, as often as they came."""

    line: str
    headers: dict[str, list[str]]


@dataclass
class Upstream:
    """Answers with its own name in two pieces; the second comes once `go_on` is set."""

    name: str
    port: int = field(default_factory=free_port)
    host: str = "127.0.0.1"
    healthy: bool = True
    asked: list[Asked] = field(default_factory=list)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._answer(head.decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _answer(self, head: str, writer: asyncio.StreamWriter) -> None:
        line, *rest = head.strip().split("\r\n")
        headers: dict[str, list[str]] = {}
        for name, _, value in (each.partition(":") for each in rest):
            headers.setdefault(name.lower(), []).append(value.strip())
        if line.split()[1] in ("/readyz", "/healthz"):
            status = b"200 OK" if self.healthy else b"503 Service Unavailable"
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\n\r\n")
            return
        self.asked.append(Asked(line, headers))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        writer.write(_piece(self.name.encode()))
        await writer.drain()
        await self.go_on.wait()
        writer.write(_piece(b" ends") + _piece(b""))
        await writer.drain()


@asynccontextmanager
async def running(upstream: Upstream) -> AsyncIterator[Upstream]:
    server = await asyncio.start_server(upstream.answer, upstream.host, upstream.port)
    async with server:
        yield upstream


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
