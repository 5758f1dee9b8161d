"""Messages from Redis pub/sub, with proof that the ear still hears.

Pub/sub delivers at most once and says nothing when it stops: a subscriber can stay deaf while its socket looks well.
So a subscription sends itself a heartbeat through the server and connects anew when it does not hear it.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from typing import Final

import hiredis

from schemas.errors import Undecidable
from storage.line import RECONNECT_FIRST_S, RECONNECT_LAST_S, Line
from storage.redis_wire import RedisAddress, RedisWire, Reply, open_wire

HEARTBEAT_S: Final = 2.0
DEAF_AFTER_S: Final = 5.0
CONFIRM_TIMEOUT_S: Final = 2.0

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]


class Subscription:
    """Calls the channel's handler for each message, in the order of publication.

    `open` returns once the server has confirmed every channel. After a loss it subscribes again by itself and calls
    `on_gap`: what was published in between is lost.
    """

    def __init__(self, url: str, line: Line, handlers: Mapping[str, Handler], on_gap: Callable[[], None]) -> None:
        self._address = RedisAddress.parse(url)
        self._line = line
        self._on_gap = on_gap
        self._pulse = f"penstock:pulse:{secrets.token_hex(8)}"
        self._handlers: dict[bytes, Handler] = {name.encode(): handler for name, handler in handlers.items()}
        self._handlers[self._pulse.encode()] = self._heard_pulse
        self._loop = asyncio.get_running_loop()
        self._wire: RedisWire | None = None
        self._unconfirmed = 0
        self._confirmed = asyncio.Event()
        self._lost = asyncio.Event()
        self._heard_at = 0.0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def hears(self) -> bool:
        return self._loop.time() - self._heard_at < DEAF_AFTER_S

    async def open(self) -> None:
        """Raises Undecidable when the server cannot be reached."""
        try:
            await self._subscribe()
        except (OSError, TimeoutError, hiredis.ReplyError) as failure:
            raise Undecidable(f"Redis cannot be reached: {failure}") from failure
        self._keeper = asyncio.create_task(self._keep(), name="redis-subscription")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._wire is not None:
            self._wire.close()

    async def _subscribe(self) -> None:
        self._lost.clear()
        self._confirmed.clear()
        self._unconfirmed = len(self._handlers)
        self._wire = await open_wire(self._address, self._on_reply, self._lost.set)
        self._wire.send("SUBSCRIBE", *self._handlers)
        async with asyncio.timeout(CONFIRM_TIMEOUT_S):
            await self._confirmed.wait()
        self._heard_at = self._loop.time()

    def _on_reply(self, reply: Reply) -> None:
        kind, channel, payload = reply
        if kind == b"message":
            self._handlers[channel](payload)
        elif kind == b"subscribe":
            self._unconfirmed -= 1
            if self._unconfirmed == 0:
                self._confirmed.set()

    def _heard_pulse(self, _: bytes) -> None:
        self._heard_at = self._loop.time()

    async def _keep(self) -> None:
        while True:
            await self._listen()
            log.warning("redis_subscription_lost")
            await self._resubscribe()
            log.info("redis_subscription_back")
            self._on_gap()

    async def _listen(self) -> None:
        """Returns when the subscription is lost or deaf."""
        while not self._lost.is_set() and self.hears:
            self._line.call("PUBLISH", self._pulse, b"").add_done_callback(_forget)
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._lost.wait()
            except TimeoutError:
                continue

    async def _resubscribe(self) -> None:
        pause_s = RECONNECT_FIRST_S
        while True:
            if self._wire is not None:
                self._wire.close()
            try:
                return await self._subscribe()
            except (OSError, TimeoutError, hiredis.ReplyError) as failure:
                log.debug("redis_unreachable", extra={"reason": str(failure)})
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, RECONNECT_LAST_S)


def _forget(future: asyncio.Future[Reply]) -> None:
    """A pulse that could not be sent is one that will not be heard, which is what counts."""
    if not future.cancelled():
        future.exception()
