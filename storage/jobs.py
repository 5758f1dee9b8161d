"""The record of a job in Redis: who runs it, how far it is, whether it was cancelled, and its one end.

penstock:job:{id}   hash
    attempts     how often a worker has taken the job
    owner        name and incarnation of the worker that runs it
    lease_ms     until when that worker holds it, by the server's clock
    sent_tokens  output tokens the client has been sent; present once a first chunk left
    cancelled    present once the caller wants no more
    end          the encoded UsageEvent of the job's end

A record is gone KEEP_AFTER_END_MS after its end, or after its deadline when there was none. Redis may forget one
earlier, with the last second before a crash; the worker that holds the job writes it anew.
"""

import asyncio
from dataclasses import dataclass
from enum import Enum
from typing import Final

from storage.line import Line, Script
from storage.redis_wire import Reply

LEASE_MS: Final = 4_000
RENEW_S: Final = 1.0
KEEP_AFTER_END_MS: Final = 120_000
"""Long enough that a message whose commit was lost with its worker still finds the end."""


class Claim(Enum):
    """What a worker may do with a job it has taken from the log."""

    RUN = "run"
    ENDED = "ended"
    ELSEWHERE = "elsewhere"


class Hold(Enum):
    """What became of a job while a worker runs it."""

    HELD = "held"
    CANCELLED = "cancelled"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Claimed:
    """`lease_left_ms` is told for ELSEWHERE, `end` for ENDED, the rest for RUN; `attempt` is the last one there was.

    `sent_tokens` is None unless an attempt before this one sent output to the client.
    """

    claim: Claim
    attempt: int = 0
    cancelled: bool = False
    sent_tokens: int | None = None
    lease_left_ms: int = 0
    end: bytes = b""


CLAIM: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'end', 'lease_ms', 'owner', 'cancelled', 'sent_tokens', 'attempts')
if record[1] then return {'ended', record[1], tonumber(record[6] or 0)} end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local name, incarnation = ARGV[1], ARGV[2]
if record[2] and tonumber(record[2]) > now_ms then
  local before = string.match(record[3], '^(.*)/')
  if before ~= name or record[3] == name .. '/' .. incarnation then
    return {'elsewhere', tonumber(record[2]) - now_ms}
  end
end
redis.call('HSET', KEYS[1], 'owner', name .. '/' .. incarnation, 'lease_ms', now_ms + ARGV[3])
local attempts = redis.call('HINCRBY', KEYS[1], 'attempts', 1)
redis.call('PEXPIREAT', KEYS[1], math.max(now_ms, tonumber(ARGV[4])) + ARGV[5])
return {'run', attempts, record[4] and 1 or 0, record[5] or -1}
""")

RENEW: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'end', 'owner', 'cancelled')
if record[1] or (record[2] and record[2] ~= ARGV[1]) then return 'lost' end
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease_ms', now_ms + ARGV[2])
redis.call('HSETNX', KEYS[1], 'attempts', ARGV[4])
if tonumber(ARGV[3]) >= 0 then redis.call('HSET', KEYS[1], 'sent_tokens', ARGV[3]) end
redis.call('PEXPIREAT', KEYS[1], math.max(now_ms, tonumber(ARGV[5])) + ARGV[6])
return record[3] and 'cancelled' or 'held'
""")

FINISH: Final = Script("""
if redis.call('HSETNX', KEYS[1], 'end', ARGV[1]) == 0 then return redis.call('HGET', KEYS[1], 'end') end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return ARGV[1]
""")

CANCEL: Final = Script("""
if redis.call('HEXISTS', KEYS[1], 'end') == 1 then return 0 end
redis.call('HSET', KEYS[1], 'cancelled', 1)
redis.call('PEXPIREAT', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
""")


def cancel_channel(lane: str) -> str:
    return f"penstock:cancels:{lane}"


class JobRecords:
    """The records as one worker sees them; `incarnation` tells a restarted worker from its dead self.

    Every call is one round trip and raises Undecidable when Redis is out of reach.
    """

    def __init__(self, line: Line, worker: str, incarnation: str) -> None:
        self._line = line
        self._worker = worker
        self._incarnation = incarnation
        self._owner = f"{worker}/{incarnation}"

    async def claim(self, job_id: str, deadline_ms: int) -> Claimed:
        """Takes the job, unless it has ended or another living worker holds it."""
        reply = await self._line.run(
            CLAIM, (_key(job_id),), self._worker, self._incarnation, LEASE_MS, deadline_ms, KEEP_AFTER_END_MS
        )
        match Claim(reply[0].decode()):
            case Claim.ENDED:
                return Claimed(Claim.ENDED, attempt=int(reply[2]), end=reply[1])
            case Claim.ELSEWHERE:
                return Claimed(Claim.ELSEWHERE, lease_left_ms=int(reply[1]))
            case Claim.RUN:
                sent_tokens = int(reply[3])
                return Claimed(
                    Claim.RUN,
                    attempt=int(reply[1]),
                    cancelled=bool(reply[2]),
                    sent_tokens=None if sent_tokens < 0 else sent_tokens,
                )

    async def renew(self, job_id: str, deadline_ms: int, attempt: int, sent_tokens: int | None) -> Hold:
        """Holds the job for LEASE_MS more, if it has not become another worker's or come to its end."""
        sent = -1 if sent_tokens is None else sent_tokens
        key = (_key(job_id),)
        reply = await self._line.run(RENEW, key, self._owner, LEASE_MS, sent, attempt, deadline_ms, KEEP_AFTER_END_MS)
        return Hold(reply.decode())

    def mark_sent(self, job_id: str, deadline_ms: int) -> None:
        """Notes that output leaves for the client; goes out before anything that is sent later in this turn.

        Its reply is not waited for: a frame published behind it over the same connection cannot overtake it.
        """
        self._line.call("HSETNX", _key(job_id), "sent_tokens", 1).add_done_callback(_let_go)
        # Had Redis forgotten the record, this one would stay for ever.
        until_ms = deadline_ms + KEEP_AFTER_END_MS
        self._line.call("PEXPIREAT", _key(job_id), until_ms).add_done_callback(_let_go)

    async def finish(self, job_id: str, end: bytes) -> bytes:
        """Sets the job's end if it has none, and returns the end that stands."""
        standing: bytes = await self._line.run(FINISH, (_key(job_id),), end, KEEP_AFTER_END_MS)
        return standing


async def cancel(line: Line, job_id: str, lane: str, deadline_ms: int) -> bool:
    """Marks the job and tells the lane's workers; False when it had ended already."""
    key = (_key(job_id),)
    return bool(await line.run(CANCEL, key, deadline_ms + KEEP_AFTER_END_MS, cancel_channel(lane), job_id))


async def started(line: Line, job_id: str) -> bool:
    """Whether a worker has taken the job; False again some time after its end."""
    return bool(await line.call("HEXISTS", _key(job_id), "attempts"))


async def has_ended(line: Line, job_id: str) -> bool:
    """Whether the job has its end; False too when Redis has forgotten it. Raises Undecidable."""
    return bool(await line.call("HEXISTS", _key(job_id), "end"))


def _let_go(future: asyncio.Future[Reply]) -> None:
    if not future.cancelled():
        future.exception()


def _key(job_id: str) -> str:
    return f"penstock:job:{job_id}"
