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
DEAF_AFTER_PULSES: Final = 3
"""Counted in pulses and not in seconds: a process that was paused has not missed any."""

CONFIRM_TIMEOUT_S: Final = 2.0

log = logging.getLogger(__name__)

Handler = Callable[[bytes], None]


class Subscription:
    """Calls the channel's handler for each message, in the order of publication.

    `open` returns once the server has confirmed every channel. After a loss it subscribes again by itself and calls
    `on_gap`: what was published in between is lost. A message that its handler cannot take is logged and costs the
    others nothing.
    """

    def __init__(
        self,
        url: str,
        line: Line,
        handlers: Mapping[str, Handler],
        on_gap: Callable[[], None],
        *,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        self._address = RedisAddress.parse(url)
        self._line = line
        self._on_gap = on_gap
        self._heartbeat_s = heartbeat_s
        self._pulse = f"penstock:pulse:{secrets.token_hex(8)}"
        self._handlers: dict[bytes, Handler] = {name.encode(): handler for name, handler in handlers.items()}
        self._handlers[self._pulse.encode()] = self._heard_pulse
        self._loop = asyncio.get_running_loop()
        self._wire: RedisWire | None = None
        self._unconfirmed = 0
        self._confirmed: asyncio.Future[None] = self._loop.create_future()
        self._lost = asyncio.Event()
        self._unheard_pulses = 0
        self._keeper: asyncio.Task[None] | None = None

    @property
    def hears(self) -> bool:
        return not self._lost.is_set() and self._unheard_pulses < DEAF_AFTER_PULSES

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
        # Of its own for each wire: one that is closed says so only later, when the next may be open already.
        lost = asyncio.Event()
        confirmed = self._confirmed = self._loop.create_future()
        self._unconfirmed = len(self._handlers)

        def on_lost() -> None:
            lost.set()
            if not confirmed.done():
                confirmed.set_exception(ConnectionResetError("The connection was lost before it was confirmed."))

        self._wire = await open_wire(self._address, self._on_reply, on_lost)
        self._wire.send("SUBSCRIBE", *self._handlers)
        async with asyncio.timeout(CONFIRM_TIMEOUT_S):
            await confirmed
        self._lost, self._unheard_pulses = lost, 0

    def _on_reply(self, reply: Reply) -> None:
        if isinstance(reply, hiredis.ReplyError):
            if not self._confirmed.done():
                self._confirmed.set_exception(reply)
            return
        kind, channel, payload = reply
        if kind == b"message":
            self._deliver(channel, payload)
        elif kind == b"subscribe":
            self._unconfirmed -= 1
            if self._unconfirmed == 0 and not self._confirmed.done():
                self._confirmed.set_result(None)

    def _deliver(self, channel: bytes, payload: bytes) -> None:
        try:
            self._handlers[channel](payload)
        except Exception:
            log.exception("message_not_taken", extra={"channel": channel.decode(), "size_bytes": len(payload)})

    def _heard_pulse(self, _: bytes) -> None:
        self._unheard_pulses = 0

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
            self._line.call("PUBLISH", self._pulse, b"").add_done_callback(self._pulse_sent)
            try:
                async with asyncio.timeout(self._heartbeat_s):
                    await self._lost.wait()
            except TimeoutError:
                continue

    def _pulse_sent(self, published: asyncio.Future[Reply]) -> None:
        """Only what the server has taken can go unheard; heard first, it counts as one until the next is heard."""
        if not published.cancelled() and published.exception() is None:
            self._unheard_pulses += 1

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
