"""Requests that are done once, however often they are sent: who does one, and what it was answered with.

penstock:idempotent:{account}:{digest of the caller's key}    hash, forgotten a day after it was last written
    request     what tells the request from another one with the same key
    number      the number of the job that the request makes, the same for whoever does it
    owner       who does the request, and
    lease_ms    until when, by the server's clock
    answer      the encoded Answer, once
"""

import hashlib
import os
import time
from typing import Final, NamedTuple

import msgspec

from storage.line import Line, Script

PREFIX: Final = "penstock:idempotent"

KEEP_MS: Final = 86_400_000
LEASE_MS: Final = 6_000
"""What a process that died costs whoever sends its request again, at most."""

NOW: Final = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""

CLAIM: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'request', 'answer', 'lease_ms', 'number')
if record[1] and record[1] ~= ARGV[2] then return {'other'} end
if record[2] then return {'answered', record[2]} end
if record[3] and tonumber(record[3]) > now_ms then return {'running'} end
local number = record[4] or ARGV[3]
redis.call('HSET', KEYS[1], 'request', ARGV[2], 'number', number, 'owner', ARGV[1], 'lease_ms', now_ms + ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return {'yours', number}
"""
)

RENEW: Final = Script(
    NOW
    + """
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease_ms', now_ms + ARGV[2])
return 1
"""
)

ANSWER: Final = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'answer', ARGV[2])
redis.call('HDEL', KEYS[1], 'owner', 'lease_ms')
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")

LET_GO: Final = Script("""
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What a request was answered with; `key` is where a large body rests. With neither, it was not kept."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    key: str | None = None


class Yours(NamedTuple):
    """Whoever is told this does the request; `number` is its job's."""

    number: str


class Running(NamedTuple):
    """Somebody does the request."""


class Other(NamedTuple):
    """The key came with another request."""


Turn = Yours | Running | Other | Answer

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Answer)


class IdempotentRequests:
    """Every call is one round trip and raises Undecidable when Redis is out of reach.

    An `owner` is a name of one's own for one try at one request.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    async def claim(self, name: str, request: str, owner: str) -> Turn:
        """Takes the request for LEASE_MS, if nobody has it and it has no answer."""
        arguments = (owner, request, new_number(), LEASE_MS, KEEP_MS)
        verdict, *rest = await self._line.run(CLAIM, (name,), *arguments)
        match verdict:
            case b"yours":
                return Yours(rest[0].decode())
            case b"answered":
                return DECODER.decode(rest[0])
            case b"running":
                return Running()
            case _:
                return Other()

    async def renew(self, name: str, owner: str) -> bool:
        """Holds the request for LEASE_MS more; False when it has become another's."""
        return bool(await self._line.run(RENEW, (name,), owner, LEASE_MS))

    async def answer(self, name: str, owner: str, answer: Answer) -> bool:
        """Keeps the answer for KEEP_MS. False when the request has become another's."""
        return bool(await self._line.run(ANSWER, (name,), owner, ENCODER.encode(answer), KEEP_MS))

    async def let_go(self, name: str, owner: str) -> None:
        """Forgets the request: whoever sends it again has it done anew."""
        await self._line.run(LET_GO, (name,), owner)


def request_name(account: str, key: str) -> str:
    """A caller's key is a name within its account, and says nothing elsewhere."""
    return f"{PREFIX}:{{{account}}}:{hashlib.sha256(key.encode()).hexdigest()}"


def new_number() -> str:
    """A job's number: milliseconds since 1970, then chance, so that jobs sort by their time."""
    return f"{time.time_ns() // 1_000_000:012x}{os.urandom(10).hex()}"
