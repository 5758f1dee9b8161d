"""Async jobs in Redis: one record each, which is the truth about the job whoever works on it.

penstock:async:{account}:{id}               hash
    job         the encoded Job, whose context is the encoded Terms
    progress    the encoded Progress, once the job was given to an engine
    step        what is to be done next: start, poll or store; absent while the job waits in its lane
    next_ms     not before when, by the server's clock
    owner       who does it at the moment, and
    lease_ms    until when, by the server's clock
    end         the encoded Ending, once
    todo:…      what the end has still to be told to: usage, limits, files, body, engine, webhook
    deleted     present once its account wants to see it no more
penstock:async:of:{account}:{operation}     zset   ids, which sort by the time of acceptance
penstock:async:running:{lane}               set    jobs given to an engine that have not ended
penstock:async:due                          zset   job → when somebody must look at it, ms
penstock:async:changes                      channel, on which each change of a job is announced by its name
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Literal, NamedTuple, get_args

from schemas.jobs import ENCODER, Job
from schemas.usage import Usage
from storage.async_record import (
    ENDING_ENCODER,
    PROGRESS_ENCODER,
    AsyncJob,
    Ending,
    JobName,
    Progress,
    Step,
    read_record,
)
from storage.due import DueList
from storage.line import Line, Script
from storage.redis_wire import Argument, Reply

PREFIX: Final = "penstock:async"
DUE: Final = f"{PREFIX}:due"
CHANGES: Final = f"{PREFIX}:changes"

LEASE_MS: Final = 6_000
"""What a step that died costs its job, at most."""

RESEND_MS: Final = 10_000
"""For how long a job that was due is left to the process that took it, and a step that was sent to whoever runs it."""

MOST_TAKEN: Final = 50

Todo = Literal["usage", "limits", "files", "body", "engine", "webhook"]
TODOS: Final[tuple[Todo, ...]] = get_args(Todo)

NOW: Final = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""

CREATE: Final = Script("""
if redis.call('HSETNX', KEYS[1], 'job', ARGV[1]) == 1 then
  redis.call('ZADD', KEYS[2], 'NX', ARGV[3], ARGV[2])
  redis.call('ZADD', KEYS[3], 0, ARGV[4])
end
return redis.call('HMGET', KEYS[1], 'job', 'progress', 'end')
""")

DISPATCH: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'job', 'end', 'step')
if not record[1] or record[2] then return 0 end
if not record[3] then redis.call('HSET', KEYS[1], 'step', 'start', 'next_ms', 0) end
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[2], now_ms + ARGV[2], ARGV[1])
return 1
"""
)

TAKE: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'job', 'progress', 'end', 'step', 'next_ms', 'owner', 'lease_ms')
if not record[1] then return {'unknown'} end
if record[3] then return {'ended', record[1], record[2], record[3]} end
if record[4] ~= ARGV[2] or (record[5] and tonumber(record[5]) > now_ms) then return {'elsewhere'} end
if record[7] and tonumber(record[7]) > now_ms and record[6] ~= ARGV[1] then return {'elsewhere'} end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease_ms', now_ms + ARGV[3])
redis.call('ZADD', KEYS[2], now_ms + ARGV[3], ARGV[4])
return {'yours', record[1], record[2]}
"""
)

RENEW: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'end', 'owner')
if record[1] or record[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'lease_ms', now_ms + ARGV[2])
redis.call('ZADD', KEYS[2], now_ms + ARGV[2], ARGV[3])
return 1
"""
)

ADVANCE: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'end', 'owner')
if record[1] or record[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'progress', ARGV[2])
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[1], 'step', ARGV[3], 'next_ms', now_ms + ARGV[4])
  redis.call('HDEL', KEYS[1], 'owner', 'lease_ms')
  redis.call('ZADD', KEYS[2], now_ms + ARGV[4], ARGV[5])
end
redis.call('PUBLISH', ARGV[6], ARGV[5])
return 1
"""
)

HASTEN: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'end', 'step')
if record[1] or record[2] ~= 'poll' then return 0 end
redis.call('HSET', KEYS[1], 'next_ms', 0)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return 1
""")

END: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'job', 'progress', 'end', 'owner')
if not record[1] then return {} end
if not record[3] and (ARGV[1] == '' or record[4] == ARGV[1]) then
  redis.call('HSET', KEYS[1], 'end', ARGV[2])
  for i = 6, #ARGV do
    if ARGV[i] ~= 'engine' or record[2] then redis.call('HSET', KEYS[1], 'todo:' .. ARGV[i], 1) end
  end
  redis.call('HDEL', KEYS[1], 'owner', 'lease_ms', 'step', 'next_ms')
  redis.call('SREM', KEYS[3], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[5], ARGV[3])
  redis.call('PUBLISH', ARGV[4], ARGV[3])
  record[3] = ARGV[2]
end
return {record[1], record[2], record[3]}
""")

DELETE: Final = Script("""
if redis.call('HEXISTS', KEYS[1], 'end') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'deleted', 1, 'todo:files', 1)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[2])
return 1
""")


class Claim(Enum):
    """What whoever wants to do a job's step may do."""

    YOURS = "yours"
    ELSEWHERE = "elsewhere"
    ENDED = "ended"
    UNKNOWN = "unknown"


class Claimed(NamedTuple):
    """`job` is there for YOURS and ENDED. ELSEWHERE: another does the step, it is done, or its time has not come."""

    claim: Claim
    job: AsyncJob | None = None


class Due(NamedTuple):
    """A job that somebody must look at: its step, if it has been given to an engine, and what its end has to be told.

    `deleted` says that its account wants to see it no more.
    """

    job: AsyncJob
    step: Step | None
    todo: frozenset[Todo]
    deleted: bool


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class AsyncJobs:
    """Every call is one round trip, a list's two, and raises Undecidable when Redis is out of reach.

    An `owner` is a name of one's own for one run of one step: what it claims, it alone may advance. Every end is the
    only one a job ever has.
    """

    def __init__(self, line: Line, *, now_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._line = line
        self._due = DueList(line, DUE)
        self._now_ms = now_ms

    async def create(self, job: Job) -> AsyncJob:
        """The job as it stands, its record made if there was none.

        At its deadline, if it has not ended, somebody must look at it.
        """
        name = JobName(job.account, job.id)
        keys = (_key(name), DUE, _index(job.account, job.operation))
        encoded = ENCODER.encode(job)
        stands, progress, ending = await self._line.run(CREATE, keys, encoded, name.member, job.deadline_ms, job.id)
        return read_record(stands, progress, ending, self._now_ms())

    async def get(self, account: str, job_id: str) -> AsyncJob | None:
        """None for a job that is unknown, another account's, or deleted."""
        reply = await self._line.call("HMGET", _key(JobName(account, job_id)), "job", "progress", "end", "deleted")
        return None if reply[3] else self._read(reply)

    async def list(
        self, account: str, operation: str, *, after: str | None = None, limit: int = 20, descending: bool = True
    ) -> Sequence[AsyncJob]:
        """The account's jobs of one operation behind `after`, up to `limit`."""
        found: list[AsyncJob] = []
        while len(found) < limit:
            ids = await self._ids(account, operation, after, limit - len(found), descending)
            if not ids:
                break
            jobs = await asyncio.gather(*(self.get(account, job_id) for job_id in ids))
            found += [job for job in jobs if job is not None]
            after = ids[-1]
        return found

    async def dispatch(self, job: AsyncJob) -> bool:
        """Has the job's first step done; False when it has ended. Again, it changes nothing."""
        keys = (_key(job.name), DUE, _running(job.lane))
        return bool(await self._line.run(DISPATCH, keys, job.name.member, RESEND_MS))

    async def running(self, lane: str) -> int:
        """How many of the lane's jobs were dispatched and have not ended."""
        return int(await self._line.call("SCARD", _running(lane)))

    async def claim(self, name: JobName, step: Step, owner: str) -> Claimed:
        """Takes the job for LEASE_MS, if this is its next step and its time has come."""
        verdict, *parts = await self._line.run(TAKE, (_key(name), DUE), owner, step, LEASE_MS, name.member)
        return Claimed(Claim(verdict.decode()), self._read([*parts, None, None]) if parts else None)

    async def renew(self, name: JobName, owner: str) -> bool:
        """Holds the job for LEASE_MS more; False when it has ended or become another's."""
        return bool(await self._line.run(RENEW, (_key(name), DUE), owner, LEASE_MS, name.member))

    async def mark(self, name: JobName, owner: str, progress: Progress) -> bool:
        """Notes progress and keeps the claim; False when the job has ended or become another's."""
        return await self._advance(name, owner, progress, "", 0)

    async def advance(self, name: JobName, owner: str, progress: Progress, step: Step, delay_ms: int) -> bool:
        """Notes progress and lets the claim go: `step` comes next, in `delay_ms`. False as for `mark`."""
        return await self._advance(name, owner, progress, step, delay_ms)

    async def hasten(self, name: JobName) -> bool:
        """Has an engine that works on the job asked now how it goes; False where that is not what comes next."""
        return bool(await self._line.run(HASTEN, (_key(name), DUE), name.member))

    async def end(
        self, job: AsyncJob, ending: Ending, *, owner: str = "", tell: tuple[Todo, ...], tell_engine: bool = False
    ) -> AsyncJob | None:
        """Ends the job if it has not ended, and returns it as it stands then; None if it is unknown.

        With `owner`, only if that is who holds it. `tell` is noted with the end, in one, and stays noted until it is
        `told`; the engine's part only if the job was given to one.
        """
        todo = (*tell, "engine") if tell_engine else tell
        keys = (_key(job.name), DUE, _running(job.lane))
        encoded = ENDING_ENCODER.encode(ending)
        reply = await self._line.run(END, keys, owner, encoded, job.name.member, CHANGES, 0, *todo)
        return self._read(reply) if reply else None

    async def told(self, name: JobName, *todo: Todo) -> None:
        """Notes that an end was told there."""
        await self._line.call("HDEL", _key(name), *(f"todo:{each}" for each in todo))

    async def delete(self, job: AsyncJob) -> bool:
        """Hides a job that has ended from its account and has its files go; False when it has not ended."""
        keys = (_key(job.name), _index(job.account, job.operation), DUE)
        return bool(await self._line.run(DELETE, keys, job.id, job.name.member))

    async def take_due(self) -> Sequence[JobName]:
        """Jobs that somebody must look at, left to this caller for RESEND_MS."""
        return [JobName.of(member) for member in await self._due.take(MOST_TAKEN, RESEND_MS)]

    async def look(self, name: JobName) -> Due | None:
        """A job that is due; None when it is unknown."""
        fields = ("job", "progress", "end", "deleted", "step", *(f"todo:{each}" for each in TODOS))
        reply = await self._line.call("HMGET", _key(name), *fields)
        job = self._read(reply)
        if job is None:
            return None
        todo = frozenset(each for each, noted in zip(TODOS, reply[5:], strict=True) if noted)
        return Due(job, _STEPS.get(reply[4]), todo, bool(reply[3]))

    async def look_later(self, name: JobName, at_ms: int) -> None:
        """Unless something happened to the job meanwhile, it is due again then."""
        await self._due.put_off(name.member, at_ms)

    async def forget(self, name: JobName, job: AsyncJob | None) -> None:
        """Leaves nothing of a job that was kept for long enough."""
        if job is not None:
            await self._line.call("ZREM", _index(job.account, job.operation), job.id)
            await self._line.call("SREM", _running(job.lane), name.member)
        await self._line.call("DEL", _key(name))
        await self._due.drop(name.member)

    async def cancel(self, job: AsyncJob) -> AsyncJob | None:
        """Ends the job, uncharged, if it has not ended, and returns it as it stands then."""
        ending = Ending("cancelled", self._now_ms(), Usage())
        return await self.end(job, ending, tell=tell_of(job), tell_engine=True)

    async def withdraw(self, job: AsyncJob) -> None:
        """Takes back a job that was not accepted after all, whether or not its envelope reached the lane."""
        todo: tuple[Todo, ...] = ("limits", "files", "body")
        await self.end(job, Ending("cancelled", self._now_ms(), Usage()), tell=todo, tell_engine=True)
        await self.delete(job)

    async def _advance(self, name: JobName, owner: str, progress: Progress, step: str, delay_ms: int) -> bool:
        encoded = PROGRESS_ENCODER.encode(progress)
        arguments: tuple[Argument, ...] = (owner, encoded, step, delay_ms, name.member, CHANGES)
        return bool(await self._line.run(ADVANCE, (_key(name), DUE), *arguments))

    async def _ids(
        self, account: str, operation: str, after: str | None, limit: int, descending: bool
    ) -> Sequence[str]:
        bound = f"({after}" if after else None
        span: tuple[str, ...] = (bound or "+", "-", "REV") if descending else (bound or "-", "+")
        start, stop, *rest = span
        ids = await self._line.call(
            "ZRANGE", _index(account, operation), start, stop, "BYLEX", *rest, "LIMIT", 0, limit
        )
        return [each.decode() for each in ids]

    def _read(self, parts: Reply) -> AsyncJob | None:
        job, progress, ending = parts[:3]
        return read_record(job, progress, ending, self._now_ms()) if job else None


def tell_of(job: AsyncJob) -> tuple[Todo, ...]:
    """Whom a job's end has to be told to, whatever it is."""
    return ("usage", "limits", "files", "body", *(("webhook",) if job.callback_url else ()))


_STEPS: Final[dict[bytes | None, Step]] = {b"start": "start", b"poll": "poll", b"store": "store"}


def _key(name: JobName) -> str:
    return f"{PREFIX}:{{{name.account}}}:{name.id}"


def _index(account: str, operation: str) -> str:
    return f"{PREFIX}:of:{account}:{operation}"


def _running(lane: str) -> str:
    return f"{PREFIX}:running:{lane}"
