"""One socket to Redis or Valkey: commands out in batches, replies in as they come.

redis-py waits for each reply before it sends the next command on a connection. The hot path may not: a first chunk
never waits for the publish before it. So this speaks RESP itself, with the parser and packer that redis-py uses. Of
redis-py itself nothing is imported, not even to read addresses: it adds 10 to 20 MB to every process (8.1, 2026-11).
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from schemas.errors import InvalidValue

Argument = str | bytes | int | float
Reply = Any

CONNECT_TIMEOUT_S: Final = 2.0
UNREADABLE: Final = (
    "The address of Redis or Valkey, which is PENSTOCK_REDIS or --redis, cannot be read. "
    "Write redis://HOST:PORT/NUMBER, rediss:// for TLS, or unix:///PATH; "
    "in a password, # is written %23, / %2F, ? %3F and @ %40."
)


@dataclass(frozen=True)
class RedisAddress:
    """Where a server listens, from redis://, rediss:// or unix://."""

    host: str
    port: int
    path: str | None
    username: str | None
    password: str | None
    db: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> "RedisAddress":
        """Raises InvalidValue."""
        try:
            parts = urlsplit(url)
            path, host, port = unquote(parts.path), unquote(parts.hostname or ""), parts.port
            number = next(iter(parse_qs(parts.query).get("db", ())), None)
            if parts.scheme in ("redis", "rediss"):
                number = number or path.replace("/", "")
            db = int(number or 0)
        except ValueError:
            # What urllib complains of may be a part of the password.
            raise InvalidValue(UNREADABLE) from None
        if parts.scheme not in ("redis", "rediss", "unix") or (parts.scheme == "unix" and not path):
            raise InvalidValue(UNREADABLE)
        return cls(
            host=host or "127.0.0.1",
            port=port or 6379,
            path=path if parts.scheme == "unix" else None,
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            db=db,
            tls=parts.scheme == "rediss",
        )


class RedisWire(asyncio.Protocol):
    """Hands every reply, in order, to `on_reply`, and says once to `on_lost` that the socket is gone."""

    def __init__(self, on_reply: Callable[[Reply], None], on_lost: Callable[[], None]) -> None:
        self._on_reply = on_reply
        self._on_lost = on_lost
        self._reader = hiredis.Reader()
        self._loop = asyncio.get_running_loop()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def hand_over(self, on_reply: Callable[[Reply], None], on_lost: Callable[[], None]) -> None:
        """From now on tells these. Raises ConnectionResetError when the socket is gone: it was told to those before."""
        if self._lost:
            raise ConnectionResetError("The server closed the connection after its greeting.")
        self._on_reply = on_reply
        self._on_lost = on_lost

    def send(self, *command: Argument) -> None:
        """Sends with everything else that is said in this turn of the event loop."""
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(hiredis.pack_command(cast(Any, command)))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            self._on_reply(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._lost = True
        self._on_lost()

    def _flush(self) -> None:
        out, self._out = self._out, []
        if self._transport is not None:
            self._transport.write(b"".join(out))


async def open_wire(address: RedisAddress, on_reply: Callable[[Reply], None], on_lost: Callable[[], None]) -> RedisWire:
    """Connects, authenticates and selects the database. Raises OSError or hiredis.ReplyError."""
    loop = asyncio.get_running_loop()
    greetings: asyncio.Queue[Reply] = asyncio.Queue()
    wire = RedisWire(greetings.put_nowait, lambda: greetings.put_nowait(ConnectionResetError("lost while greeting")))
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            if address.path is not None:
                await loop.create_unix_connection(lambda: wire, address.path)
            else:
                tls = ssl.create_default_context() if address.tls else None
                await loop.create_connection(lambda: wire, address.host, address.port, ssl=tls)
            for command in _greeting(address):
                await _greet(wire, greetings, command)
        wire.hand_over(on_reply, on_lost)
    except BaseException:
        wire.close()
        raise
    return wire


async def _greet(wire: RedisWire, greetings: asyncio.Queue[Reply], command: tuple[Argument, ...]) -> None:
    wire.send(*command)
    if isinstance(reply := await greetings.get(), Exception):
        raise reply


def _greeting(address: RedisAddress) -> list[tuple[Argument, ...]]:
    commands: list[tuple[Argument, ...]] = []
    if address.password is not None:
        user = (address.username,) if address.username else ()
        commands.append(("AUTH", *user, address.password))
    commands.append(("SELECT", address.db))
    return commands
