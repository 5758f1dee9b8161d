"""A client that costs little, since it shares the machine with what it measures."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httptools
import msgspec

from benchmarks.doors import Door


@dataclass(frozen=True, slots=True)
class Answer:
    """Seconds since the request was written. `failure` says why it is not a whole answer; `left`, that we left it."""

    first_s: float
    total_s: float
    failure: str | None = None
    left: bool = False


@dataclass(frozen=True)
class Address:
    """Where a door is asked: at its path below an `http://` base URL."""

    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, base_url: str, path: str) -> "Address":
        parts = urlsplit(base_url)
        if parts.scheme != "http" or parts.hostname is None:
            raise ValueError(f"{base_url} is not an http:// URL")
        return cls(parts.hostname, parts.port or 80, parts.path.rstrip("/") + path)

    def request(self, key: str, body: dict[str, Any]) -> bytes:
        data = msgspec.json.encode(body)
        head = (
            f"POST {self.path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nAccept: */*\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        return head.encode() + data


class Connection(asyncio.Protocol):
    """One request at a time over one socket, which is opened when there is none."""

    def __init__(self, address: Address, door: Door) -> None:
        self._address = address
        self._door = door
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[Answer] | None = None
        self._gone = asyncio.Event()

    async def ask(self, request: bytes, *, stream: bool, leave_after: int | None = None) -> Answer:
        """Never raises for what the server does; `leave_after` hangs up once so many chunks have come."""
        try:
            if self._transport is not None and self._transport.is_closing():
                await self._gone.wait()
            if self._transport is None:
                await self._loop.create_connection(lambda: self, self._address.host, self._address.port)
        except OSError as failure:
            return Answer(0, 0, f"cannot connect: {failure}")
        assert self._transport is not None
        self._stream = stream
        self._content = self._door.content(stream=stream)
        self._leave_after = leave_after
        self._body = bytearray()
        self._first_s = 0.0
        self._answered = self._loop.create_future()
        self._started = time.perf_counter()
        self._transport.write(request)
        return await self._answered

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._gone.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._gone.set()
        self._settle("the connection was closed before the end")

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body
        if not self._first_s and self._content in self._body:
            self._first_s = time.perf_counter() - self._started
        if self._leave_after is not None and self._body.count(self._content) >= self._leave_after:
            self._settle(None, left=True)
            self.close()

    def on_message_complete(self) -> None:
        self._settle(self._fault())

    def _fault(self) -> str | None:
        status = self._parser.get_status_code()
        if status != 200:
            return f"status {status}: {bytes(self._body[:200])!r}"
        if not self._first_s:
            return "an answer without content"
        if self._stream and self._body.rfind(self._door.end) < 0:
            return "a stream without its end"
        return None

    def _settle(self, failure: str | None, *, left: bool = False) -> None:
        if self._answered is not None and not self._answered.done():
            total_s = 0.0 if failure else time.perf_counter() - self._started
            self._answered.set_result(Answer(self._first_s, total_s, failure, left))
