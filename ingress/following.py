"""A background response's stream: from any event on, while it runs and after its end, always with the same numbers."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from ingress.background import LOOK_S, Background, head_of
from ingress.translate.openai_responses import Dialect, ResponsesStreamWriter
from ingress.unfolding import Unfolding
from schemas.chunks import Chunk, Ended
from schemas.errors import Cancelled, Undecidable
from schemas.usage import UNCOUNTED
from storage.responses import StoredResponse

OUTAGE_S: Final = 10.0
"""How long a stream outlasts a Redis that is away; then it breaks, and can be asked for from where it broke."""

PING: Final = b": ping\n\n"
DECODER: Final = msgspec.msgpack.Decoder(list[Chunk])


class Following:
    """The chunks of one response, each once and in order; `response` is what is known of it."""

    def __init__(self, background: Background, response: StoredResponse) -> None:
        self.response = response
        self._background = background
        self._unfolding = Unfolding(response.ticket is not None and response.ticket.stream)
        self._place = 0
        self._given = 0
        self._heard_at = time.monotonic()

    async def more(self) -> list[Chunk]:
        """What is new, if anything; an end of its own once the response was deleted. Raises Undecidable."""
        if self.response.ticket is not None and not await self._read_on():
            now = await self._background.current(self.response)
            if now is None:
                return [Ended("cancelled", UNCOUNTED, Cancelled("The response was deleted.").data())]
            self.response = now
        if self.response.ticket is None:
            chunks = DECODER.decode(self.response.chunks or b"\x90")[self._given :]
        else:
            chunks = self._unfolding.chunks[self._given : self._unfolding.readable]
        self._given += len(chunks)
        return chunks

    async def _read_on(self) -> bool:
        """Whether the response goes on."""
        try:
            read = await self._background.read(self.response, self._place)
        except Undecidable:
            if time.monotonic() > self._heard_at + OUTAGE_S:
                raise
            return True
        self._heard_at = time.monotonic()
        if read is None:
            return False
        self._place = read.next
        self._unfolding.add(read.frames)
        return self._unfolding.ended is None


async def events(following: Following, dialect: Dialect, after: int, ping_s: float) -> AsyncIterator[bytes]:
    """The stream's text from the event after number `after` on, up to its end."""
    head = head_of(following.response)
    writer = ResponsesStreamWriter(head, lambda: following.response.ended_at_s, dialect, after)
    text, silent_since = writer.queued(), time.monotonic()
    while True:
        chunks = await following.more()
        text += writer.write(chunks) if chunks else b""
        if not text and time.monotonic() > silent_since + ping_s:
            text = PING
        if text:
            yield text
            text, silent_since = b"", time.monotonic()
        if writer.ended:
            return
        await asyncio.sleep(LOOK_S)
