"""Commands to Redis whose replies are awaited, many at a time over one socket."""

import asyncio
import hashlib
import logging
from collections import deque
from typing import Final

import hiredis
from prometheus_client import Counter, Gauge

from schemas.errors import Undecidable
from storage.redis_wire import Argument, RedisAddress, RedisWire, Reply, open_wire

REPLY_TIMEOUT_S: Final = 2.0
LOOK_S: Final = REPLY_TIMEOUT_S / 4

PASSING: Final = frozenset(
    {"LOADING", "READONLY", "MASTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN", "CLUSTERDOWN"}
)
"""Error codes, the first word of a reply, of a server that will be able to answer later.

MISCONF is a disk that took no more of the append-only file.
"""

RECONNECT_FIRST_S: Final = 0.05
RECONNECT_LAST_S: Final = 1.0

CONNECTIONS: Final = Gauge("penstock_redis_connections", "Connections to Redis that carry commands; 0: out of reach")
LOST: Final = Counter("penstock_redis_connections_lost_total", "Connections to Redis that were lost")

log = logging.getLogger(__name__)


class Script:
    """A Lua script, sent by its digest."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.digest = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()


class Line:
    """A full-duplex connection that mends itself.

    Commands leave in the order of the calls; a call made while there is no connection, and every call that a lost
    connection leaves without a reply, raises Undecidable: the command may or may not have been carried out.
    A server that is silent for REPLY_TIMEOUT_S is treated as lost.
    """

    def __init__(self, url: str) -> None:
        self._address = RedisAddress.parse(url)
        self._wire: RedisWire | None = None
        self._waiting: deque[tuple[float, asyncio.Future[Reply]]] = deque()
        self._loop = asyncio.get_running_loop()
        self._keeper: asyncio.Task[None] | None = None
        self._lost = asyncio.Event()
        self.connected = asyncio.Event()

    async def open(self) -> None:
        """Returns with a working connection. Raises Undecidable."""
        try:
            await self._connect()
        except (OSError, TimeoutError, hiredis.ReplyError) as failure:
            raise Undecidable(f"Redis cannot be reached: {failure}") from failure
        self._keeper = asyncio.create_task(self._keep(), name="redis-line")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._wire is not None:
            self._wire.close()

    def call(self, *command: Argument) -> asyncio.Future[Reply]:
        """Sends one command; the future holds its reply, or Undecidable, or hiredis.ReplyError."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        if self._wire is None:
            future.set_exception(Undecidable("Redis is out of reach.", retry_after_s=1))
        else:
            self._waiting.append((self._loop.time(), future))
            self._wire.send(*command)
        return future

    async def run(self, script: Script, keys: tuple[Argument, ...], *arguments: Argument) -> Reply:
        """Runs a script, by its text where the server does not know it yet."""
        try:
            return await self.call("EVALSHA", script.digest, len(keys), *keys, *arguments)
        except hiredis.ReplyError as failure:
            if not str(failure).startswith("NOSCRIPT"):
                raise
            return await self.call("EVAL", script.source, len(keys), *keys, *arguments)

    async def _connect(self) -> None:
        self._lost.clear()
        self._wire = await open_wire(self._address, self._answered, self._on_lost)
        self.connected.set()
        CONNECTIONS.inc()

    def _answered(self, reply: Reply) -> None:
        _, future = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            future.set_exception(_meaning(reply))
        else:
            future.set_result(reply)

    def _on_lost(self) -> None:
        self._wire = None
        self.connected.clear()
        CONNECTIONS.dec()
        LOST.inc()
        waiting, self._waiting = self._waiting, deque()
        for _, future in waiting:
            if not future.done():
                future.set_exception(Undecidable("The connection to Redis was lost.", retry_after_s=1))
        self._lost.set()

    async def _keep(self) -> None:
        while True:
            await self._until_lost()
            log.warning("redis_lost")
            await self._reconnect()
            log.info("redis_back")

    async def _until_lost(self) -> None:
        late = False
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._lost.wait()
            except TimeoutError:
                # Two looks in a row: after a pause of this process the first one comes before what lies in the socket.
                was_late, late = late, self._late()
                if late and was_late and self._wire:
                    self._wire.close()

    def _late(self) -> bool:
        return bool(self._waiting) and self._loop.time() - self._waiting[0][0] > REPLY_TIMEOUT_S

    async def _reconnect(self) -> None:
        pause_s = RECONNECT_FIRST_S
        while self._wire is None:
            try:
                await self._connect()
            except (OSError, TimeoutError, hiredis.ReplyError) as failure:
                log.debug("redis_unreachable", extra={"reason": str(failure)})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RECONNECT_LAST_S)


def _meaning(reply: hiredis.ReplyError) -> Exception:
    code = str(reply).partition(" ")[0]
    return Undecidable(f"Redis answered {code}.", retry_after_s=1) if code in PASSING else reply
