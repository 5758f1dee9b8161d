"""A client that is no HTTP library: it sends what it likes, and reads only when it is told to."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.asking import PATH, body

RECEIVE_BYTES = 4096
"""So small that a server notices soon when nobody reads."""


class Connection:
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._loop = asyncio.get_running_loop()

    async def send(self, content: bytes) -> None:
        await self._loop.sock_sendall(self._socket, content)

    async def begin(self, secret: str, length: int, sent: bytes) -> None:
        """Announces a body of some length and sends this of it."""
        lines = [f"POST {PATH} HTTP/1.1", "host: x", f"authorization: Bearer {secret}", f"content-length: {length}"]
        await self.send("\r\n".join((*lines, "", "")).encode() + sent)

    async def ask(self, secret: str, **fields: object) -> None:
        content = json.dumps(body(**fields)).encode()
        await self.begin(secret, len(content), content)

    async def read(self, most_bytes: int) -> bytes:
        return await self._loop.sock_recv(self._socket, most_bytes)

    async def until(self, end: bytes) -> bytes:
        """All that comes up to and with `end`, or to the connection's end: head and body may come apart."""
        received = bytearray()
        while not received.endswith(end) and (data := await self.read(4_000)):
            received += data
        return bytes(received)

    async def rest(self) -> bytes:
        """All that comes until the other side ends the connection, in order or not."""
        received = bytearray()
        try:
            while data := await self.read(1 << 20):
                received += data
        except ConnectionResetError:
            pass
        return bytes(received)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    address = urlsplit(url)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (address.hostname, address.port))
        yield Connection(connection)
