"""Jobs whose client does not wait: their frames are kept in Redis until the end has been put where it rests.

    penstock:background:{account}:{job}   list  lists of frames, behind an element that says the job is known
    penstock:background                   zset  such a list → when somebody must look at it, ms

A worker appends to a job's list as it would publish to an ingress, and brings the time to look forward at the end.
Whichever ingress looks first takes the job for a while; one that dies with it leaves it to the next.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from schemas.chunks import Frame
from storage.due import DueList
from storage.line import Line, Script

PREFIX: Final = "penstock:background:"
DUE: Final = "penstock:background"
KNOWN: Final = b""

KEEP_MS: Final = 86_400_000
"""How long frames outlive the job's deadline, if no ingress is there to put them away."""

TAKEN_MS: Final = 10_000
"""For how long a job is left to the ingress that took it."""

MOST_TAKEN: Final = 20

APPEND: Final = Script("""
if redis.call('RPUSHX', KEYS[1], ARGV[1]) > 0 and ARGV[2] == '1' then
  redis.call('ZADD', KEYS[2], 'XX', 0, KEYS[1])
end
return 1
""")
"""Appends where the job is known still, and says it is done either way: what is gone needs no more frames."""

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(list[Frame])


class Name(NamedTuple):
    """A background job and whose it is."""

    account: str
    job_id: str

    @property
    def channel(self) -> str:
        """What the job's envelope names as the channel that waits for its answer."""
        return f"{PREFIX}{self.account}:{self.job_id}"

    @classmethod
    def of(cls, channel: str) -> "Name":
        account, _, job_id = channel.removeprefix(PREFIX).rpartition(":")
        return cls(account, job_id)


class Read(NamedTuple):
    """What a job's list held from some place on, and where to read on."""

    frames: list[Frame]
    next: int


class BackgroundJobs:
    """Every call is one round trip and raises Undecidable when Redis is out of reach."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._due = DueList(line, DUE)

    async def open(self, name: Name, deadline_ms: int, look_ms: int) -> None:
        """Makes the job known; at `look_ms`, if it has not ended before, somebody must look at it."""
        pushed = self._line.call("RPUSH", name.channel, KNOWN)
        kept = self._line.call("PEXPIREAT", name.channel, deadline_ms + KEEP_MS)
        await asyncio.gather(pushed, kept, self._due.note(name.channel, look_ms))

    async def read(self, name: Name, place: int) -> Read | None:
        """The frames from `place` on, 0 for all; None when the job is not, or no longer, known."""
        elements = await self._line.call("LRANGE", name.channel, place, -1)
        if not elements:
            return None
        # The element at `place` was read before; it is asked for again to tell nothing new from nothing at all.
        payloads = elements[1:]
        return Read([frame for payload in payloads for frame in DECODER.decode(payload)], place + len(payloads))

    async def append(self, name: Name, frames: Sequence[Frame]) -> None:
        """Adds frames of the ingress's own, the job's end among them."""
        await self._line.run(APPEND, (name.channel, DUE), ENCODER.encode(frames), 1)

    async def close(self, name: Name) -> bool:
        """Forgets the job; True for the one caller that did."""
        first = await self._due.drop(name.channel)
        await self._line.call("DEL", name.channel)
        return first

    async def look_later(self, name: Name, look_ms: int) -> None:
        await self._due.put_off(name.channel, look_ms)

    async def take_due(self) -> list[Name]:
        """Jobs that somebody must look at, left to this caller for TAKEN_MS."""
        return [Name.of(channel) for channel in await self._due.take(MOST_TAKEN, TAKEN_MS)]
