"""What is known of submissions between the log they come from and the log their results go to.

penstock:submissions:taken:{topic}/{partition}   zset    what is not committed yet: offset:timestamp of what was queued,
                                                         offset:timestamp:claimed of what may have been
penstock:submissions:open                        hash    job → the encoded Accepted, until its result is published
penstock:submissions:due                         zset    job → when somebody must look at it, ms
penstock:submission:{account}:{digest of key}    hash    job_id, fingerprint, and, from its end on, result
"""

import asyncio
import hashlib
from enum import Enum
from typing import Final, NamedTuple

from storage.due import DueList
from storage.line import Line, Script
from storage.redis_wire import Argument

OPEN: Final = "penstock:submissions:open"
DUE: Final = "penstock:submissions:due"
KEY_KEPT_MS: Final = 86_400_000
"""For how long an idempotency key is remembered."""

MOST_TAKEN: Final = 50
TAKEN_MS: Final = 10_000
"""For how long an overdue job is left to the process that took it."""

NO_KEY: Final = "penstock:submission:none"
"""A name that stands where a script needs one; nothing is ever kept under it."""

CLAIM: Final = Script("""
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return {'queued'} end
local claimed = ARGV[1] .. ':claimed'
if redis.call('ZSCORE', KEYS[1], claimed) then
  return {redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 and 'again' or 'queued'}
end
if ARGV[5] ~= '' then
  local first = redis.call('HMGET', KEYS[4], 'job_id', 'fingerprint', 'result')
  if first[1] and first[1] ~= ARGV[2] then return {'twin', first[1], first[2], first[3] or ''} end
  if not first[1] then
    redis.call('HSET', KEYS[4], 'job_id', ARGV[2], 'fingerprint', ARGV[5])
    redis.call('PEXPIRE', KEYS[4], ARGV[6])
  end
end
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  redis.call('ZADD', KEYS[3], ARGV[4], ARGV[2])
  redis.call('ZADD', KEYS[1], string.match(ARGV[1], '^%d+'), claimed)
end
return {'new'}
""")

REMEMBER: Final = Script("""
if redis.call('HGET', KEYS[1], 'job_id') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then return redis.call('DEL', KEYS[1]) end
redis.call('HSETNX', KEYS[1], 'result', ARGV[2])
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
""")


class Origin(NamedTuple):
    """Where a submission lies; its time tells it from what had its place in a topic that was made anew."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Found(Enum):
    """AGAIN is one that was claimed before, by a process that died perhaps after it had queued the job."""

    NEW = "new"
    AGAIN = "again"
    QUEUED = "queued"
    TWIN = "twin"


class Claimed(NamedTuple):
    """Of a twin, `job_id` and `fingerprint` are the first one's, and `result` what it came to, if it has ended."""

    found: Found
    job_id: str = ""
    fingerprint: str = ""
    result: bytes = b""


class Submissions:
    """Raises Undecidable when Redis is out of reach."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._due = DueList(line, DUE)

    async def claim(
        self, origin: Origin, job_id: str, accepted: bytes, look_ms: int, *, key: str | None, fingerprint: str
    ) -> Claimed:
        """Makes the job known before it is queued, unless it was queued before or another one has its `key`.

        With no `accepted` there is no job that somebody would have to look at.
        """
        keys = (_taken(origin.topic, origin.partition), OPEN, DUE, key or NO_KEY)
        mark = fingerprint if key else ""
        reply = await self._line.run(CLAIM, keys, _member(origin), job_id, accepted, look_ms, mark, KEY_KEPT_MS)
        found = Found(reply[0].decode())
        if found is not Found.TWIN:
            return Claimed(found)
        return Claimed(found, reply[1].decode(), reply[2].decode(), reply[3])

    async def queued(self, origin: Origin) -> None:
        """Notes that the log has the job, or the result: the same submission, delivered again, is done already."""
        await self._line.call("ZADD", _taken(origin.topic, origin.partition), origin.offset, _member(origin))

    async def committed(self, topic: str, partition: int, position: int) -> None:
        """Forgets what will not be delivered again."""
        await self._line.call("ZREMRANGEBYSCORE", _taken(topic, partition), "-inf", f"({position}")

    async def remember(self, job_id: str, key: str, result: bytes) -> None:
        """What whoever submits the key again is given; with no result, the key is free again."""
        await self._line.run(REMEMBER, (key,), job_id, result, KEY_KEPT_MS)

    async def close(self, job_id: str) -> None:
        """Forgets the job, whose result is published."""
        await asyncio.gather(self._line.call("HDEL", OPEN, job_id), self._line.call("ZREM", DUE, job_id))

    async def withdraw(self, origin: Origin, job_id: str, key: str | None) -> None:
        """Forgets a job that was not queued, and its key with it; its submission, delivered again, is a new one."""
        if key is not None:
            await self.remember(job_id, key, b"")
        await self._line.call("ZREM", _taken(origin.topic, origin.partition), f"{_member(origin)}:claimed")
        await self.close(job_id)

    async def accepted(self, job_id: str) -> bytes | None:
        """What the job was made known with, until its result is published."""
        found: bytes | None = await self._line.call("HGET", OPEN, job_id)
        return found

    async def take_overdue(self) -> list[str]:
        """Jobs that somebody must look at, left to this caller for TAKEN_MS."""
        return await self._due.take(MOST_TAKEN, TAKEN_MS)

    async def look_later(self, job_id: str, at_ms: int) -> None:
        await self._due.put_off(job_id, at_ms)


def submission_key(account: str, idempotency_key: str) -> str:
    """Where an account's idempotency key is remembered."""
    return f"penstock:submission:{account}:{hashlib.sha256(idempotency_key.encode()).hexdigest()}"


def _taken(topic: str, partition: int) -> Argument:
    return f"penstock:submissions:taken:{topic}/{partition}"


def _member(origin: Origin) -> str:
    return f"{origin.offset}:{origin.timestamp_ms}"
