"""One Valkey server with its append-only file in a folder."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from storage.local.child import Child
from storage.local.failure import StartFailed
from storage.local.ports import free_port, is_free
from storage.local.wheels import valkey_server

HOST: Final = "127.0.0.1"
READY_S: Final = 20.0
LOOK_S: Final = 0.02
SOCKET_PATH_BYTES: Final = 100
"""The system's limit on a socket's path is 108 bytes on Linux and 104 on macOS, the final zero included."""


class ValkeyServer:
    """A server on loopback and, where the folder's path is short enough, on a Unix socket: the quicker of the two."""

    def __init__(self, folder: Path, *, logs: Path | None = None, port: int | None = None) -> None:
        self._folder = folder.resolve()
        self._log = (logs or folder).resolve() / "valkey.log"
        self.port = self._choose_port(port)
        socket = self._folder / "valkey.sock"
        self._socket = socket if len(bytes(socket)) <= SOCKET_PATH_BYTES else None

    @property
    def url(self) -> str:
        return f"unix://{quote(str(self._socket))}?db=0" if self._socket else self.tcp_url

    @property
    def tcp_url(self) -> str:
        return f"redis://{HOST}:{self.port}/0"

    async def start(self) -> Child:
        """Returns once commands are answered, everything kept from before loaded; raises StartFailed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        child = await Child.spawn("valkey", self._command(), self._log)
        try:
            await self._ready(child)
        except BaseException:
            await child.stop(0)
            raise
        return child

    def _command(self) -> Sequence[str]:
        socket = ("--unixsocket", str(self._socket), "--unixsocketperm", "700") if self._socket else ()
        return [
            str(valkey_server()),
            *("--port", str(self.port), "--bind", HOST, *socket),
            *("--dir", str(self._folder)),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
            # A full disk or memory must refuse writes, never forget jobs.
            *("--maxmemory-policy", "noeviction"),
            *("--hz", "10", "--daemonize", "no", "--loglevel", "notice"),
        ]

    def _choose_port(self, port: int | None) -> int:
        remembered = self._folder / "port"
        if port is not None and not is_free(port):
            raise StartFailed(f"port {port} of {HOST} is taken: give another to Valkey")
        before = int(remembered.read_text()) if remembered.exists() else None
        if port is None:
            port = before if before is not None and is_free(before) else free_port()
        self._folder.mkdir(parents=True, exist_ok=True)
        remembered.write_text(str(port))
        return port

    async def _ready(self, child: Child) -> None:
        try:
            async with asyncio.timeout(READY_S):
                while not await self._answers():
                    if not child.running:
                        raise child.died()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise StartFailed(f"valkey is not ready after {READY_S:.0f} s (log: {child.log})") from None

    async def _answers(self) -> bool:
        """Whether PING gets PONG; while the append-only file is read it gets LOADING."""
        with suppress(OSError):
            opening = (
                asyncio.open_unix_connection(str(self._socket))
                if self._socket
                else asyncio.open_connection(HOST, self.port)
            )
            reader, writer = await opening
            writer.write(b"PING\r\n")
            answer = await reader.readline()
            writer.close()
            return answer == b"+PONG\r\n"
        return False
