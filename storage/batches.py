"""Batches in Redis: one record each, which is the truth about the batch whoever runs it.

penstock:batch:{account}:{id}            hash
    batch         the encoded Batch
    status        where it stands; the other fields are those of Standing, each absent until it is known
    owner         who runs it at the moment, and
    lease_ms      until when, by the server's clock
penstock:batch:{account}:{id}:rows       bitmap  the lines that have their row
penstock:batch:{account}:{id}:segments   list    the objects that hold rows, in the order they were noted
penstock:batches:{account}               zset    ids, which sort by the time of acceptance
penstock:batches:{account}:open          set     those that have not ended
penstock:batches:{account}:request:{id}  the batch that was made for a caller's request id, for a day
penstock:batches:due                     zset    batch → when somebody must run it
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from schemas.batches import ENDED, Batch, File, LineFault, Standing, Status
from storage.due import DueList
from storage.line import Line, Script
from storage.redis_wire import Argument, Reply

DUE: Final = "penstock:batches:due"
LEASE_MS: Final = 6_000
"""For how long a batch waits whose runner died."""

KEPT_MS: Final = 30 * 86_400_000
"""How long a batch can be asked for after its end."""

REQUEST_KEPT_MS: Final = 86_400_000

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Batch)
FAULTS_DECODER: Final = msgspec.msgpack.Decoder(tuple[LineFault, ...])

NUMBERS: Final = ("total", "fed", "fed_bytes", "completed", "failed")
TIMES: Final = ("in_progress_ms", "finalizing_ms", "cancelling_ms", "ended_ms")
NAMES: Final = ("output_file", "error_file", "then")
FIELDS: Final = ("batch", "status", "faults", *NUMBERS, *TIMES, *NAMES)

NOW: Final = """
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
"""

CREATE: Final = Script("""
if redis.call('HEXISTS', KEYS[1], 'batch') == 1 then return ARGV[2] end
if ARGV[5] ~= '' then
  local known = redis.call('GET', KEYS[5])
  if known then return known end
end
if redis.call('SCARD', KEYS[3]) >= tonumber(ARGV[4]) then return 0 end
if ARGV[5] ~= '' then redis.call('SET', KEYS[5], ARGV[2], 'PX', ARGV[5]) end
redis.call('HSET', KEYS[1], 'batch', ARGV[1], 'status', 'validating')
redis.call('ZADD', KEYS[2], 0, ARGV[2])
redis.call('SADD', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[4], 0, ARGV[3])
return ARGV[2]
""")

HOLD: Final = Script(
    NOW
    + """
local record = redis.call('HMGET', KEYS[1], 'owner', 'lease_ms', 'ended_ms', 'batch')
if not record[4] or record[3] then
  redis.call('ZREM', KEYS[2], ARGV[3])
  return 0
end
if record[1] ~= ARGV[1] and record[2] and tonumber(record[2]) > now_ms then return 0 end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'lease_ms', now_ms + ARGV[2])
redis.call('ZADD', KEYS[2], now_ms + ARGV[2], ARGV[3])
return 1
"""
)

CHANGE: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'owner', 'status')
if record[1] ~= ARGV[1] or record[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
""")

END: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'owner', 'ended_ms')
if record[1] ~= ARGV[1] or record[2] then return 0 end
redis.call('HSET', KEYS[1], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('SREM', KEYS[2], ARGV[3])
redis.call('ZREM', KEYS[3], ARGV[4])
redis.call('DEL', KEYS[4], KEYS[5])
return 1
""")

CANCEL: Final = Script("""
local status = redis.call('HGET', KEYS[1], 'status')
if status ~= 'validating' and status ~= 'in_progress' then return status end
redis.call('HSET', KEYS[1], 'status', 'cancelling', 'cancelling_ms', ARGV[1])
redis.call('ZADD', KEYS[2], 'LT', ARGV[1], ARGV[2])
return 'cancelling'
""")

RECORD: Final = Script("""
local record = redis.call('HMGET', KEYS[1], 'batch', 'ended_ms')
if not record[1] or record[2] then return {0, 0} end
local completed, failed = 0, 0
for i = 2, #ARGV, 2 do
  if redis.call('SETBIT', KEYS[2], ARGV[i], 1) == 0 then
    if ARGV[i + 1] == '1' then failed = failed + 1 else completed = completed + 1 end
  end
end
if completed + failed == 0 then return {0, 0} end
redis.call('HINCRBY', KEYS[1], 'completed', completed)
redis.call('HINCRBY', KEYS[1], 'failed', failed)
redis.call('RPUSH', KEYS[3], ARGV[1])
return {completed, failed}
""")


class BatchName(NamedTuple):
    account: str
    id: str

    @classmethod
    def of(cls, member: str) -> "BatchName":
        account, _, batch_id = member.rpartition("/")
        return cls(account, batch_id)

    @property
    def member(self) -> str:
        return f"{self.account}/{self.id}"

    @property
    def objects(self) -> str:
        """What the keys of its segments begin with."""
        return f"batches/{self.account}/{self.id}"


class RowDone(NamedTuple):
    line: int
    failed: bool


class Counted(NamedTuple):
    """Lines that have got their row now."""

    completed: int
    failed: int


class Batches:
    """Every call raises Undecidable when Redis is out of reach.

    An `owner` is one run of a batch by one process: of two that believe to run it, one alone can change it.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._due = DueList(line, DUE)

    async def create(self, batch: Batch, most_open: int) -> str | None:
        """The id of the batch, or of the one that was made for the same request id; None above `most_open`.

        Of a batch that is made already nothing is changed.
        """
        name = BatchName(batch.account, batch.id)
        keys = (_key(name), _index(batch.account), _open(batch.account), DUE, _request(batch))
        kept = REQUEST_KEPT_MS if batch.request_id else ""
        reply = await self._line.run(CREATE, keys, ENCODER.encode(batch), batch.id, name.member, most_open, kept)
        return reply.decode() if reply else None

    async def get(self, account: str, batch_id: str) -> Standing | None:
        """None for a batch that is unknown or another account's."""
        return _read(await self._line.call("HMGET", _key(BatchName(account, batch_id)), *FIELDS))

    async def list(self, account: str, *, after: str | None, limit: int) -> Sequence[Standing]:
        """The account's batches, newest first, behind `after`."""
        found: list[Standing] = []
        while len(found) < limit:
            start = f"({after}" if after else "+"
            reply = await self._line.call("ZRANGE", _index(account), start, "-", "BYLEX", "REV", "LIMIT", 0, limit)
            if not reply:
                break
            ids = [each.decode() for each in reply]
            standings = await asyncio.gather(*(self.get(account, batch_id) for batch_id in ids))
            gone = [batch_id for batch_id, standing in zip(ids, standings, strict=True) if standing is None]
            if gone:
                await self._line.call("ZREM", _index(account), *gone)
            found += [standing for standing in standings if standing is not None]
            after = ids[-1]
        return found[:limit]

    async def reading(self, file: File) -> str | None:
        """The id of a batch that has not ended and is read from this file."""
        ids = await self._line.call("SMEMBERS", _open(file.account))
        open_ones = await asyncio.gather(*(self.get(file.account, each.decode()) for each in ids))
        return next((each.batch.id for each in open_ones if each is not None and each.batch.input.id == file.id), None)

    async def cancel(self, name: BatchName, now_ms: int) -> Status | None:
        """Has the batch fed no further, if it has not been fed whole; returns how it stands then."""
        reply = await self._line.run(CANCEL, (_key(name), DUE), now_ms, name.member)
        status: Status | None = reply.decode() if reply else None
        return status

    async def take_due(self, most: int) -> Sequence[BatchName]:
        """Batches that somebody must run, left to this caller for LEASE_MS."""
        return [BatchName.of(member) for member in await self._due.take(most, LEASE_MS)]

    async def hold(self, name: BatchName, owner: str) -> bool:
        """Takes the batch, or holds it on, for LEASE_MS; False when it has ended or is another's."""
        return bool(await self._line.run(HOLD, (_key(name), DUE), owner, LEASE_MS, name.member))

    async def change(self, name: BatchName, owner: str, at: Status, **fields: Argument) -> bool:
        """Sets fields of a batch that stands at `at` and is the owner's; else False, and nothing is changed."""
        pairs = [each for pair in fields.items() for each in pair]
        return bool(await self._line.run(CHANGE, (_key(name),), owner, at, *pairs))

    async def end(self, name: BatchName, owner: str, status: Status, fields: Mapping[str, Argument]) -> bool:
        """Ends the batch, once; False when it had ended or is another's."""
        assert status in ENDED, status
        keys = (_key(name), _open(name.account), DUE, _rows(name), _segments(name))
        pairs = [each for pair in {"status": status, **fields}.items() for each in pair]
        return bool(await self._line.run(END, keys, owner, KEPT_MS, name.id, name.member, *pairs))

    async def record(self, name: BatchName, segment: str, rows: Sequence[RowDone]) -> Counted:
        """Counts the lines whose rows a segment holds, those that had none; none of an ended batch.

        Said again, it changes nothing. A segment that held nothing new is not read.
        """
        pairs = [each for row in rows for each in (row.line, int(row.failed))]
        return Counted(*await self._line.run(RECORD, (_key(name), _rows(name), _segments(name)), segment, *pairs))

    async def rows(self, name: BatchName) -> bytes:
        """A bit for each line, the first line's being the highest of the first byte."""
        found: bytes | None = await self._line.call("GET", _rows(name))
        return found or b""

    async def segments(self, name: BatchName) -> Sequence[str]:
        return [each.decode() for each in await self._line.call("LRANGE", _segments(name), 0, -1)]


def new_batch_id(now_ms: int) -> str:
    """Sorts by its time."""
    return f"batch_{now_ms:012x}{os.urandom(10).hex()}"


def is_set(rows: bytes, line: int) -> bool:
    return line // 8 < len(rows) and bool(rows[line // 8] & (0x80 >> (line % 8)))


def faults_value(faults: Sequence[LineFault]) -> bytes:
    return ENCODER.encode(tuple(faults))


def _read(reply: Reply) -> Standing | None:
    found = dict(zip(FIELDS, reply, strict=True))
    if found["batch"] is None:
        return None
    numbers: dict[str, Any] = {name: int(found[name]) for name in (*NUMBERS, *TIMES) if found[name] is not None}
    names: dict[str, Any] = {name: found[name].decode() for name in NAMES if found[name] is not None}
    faults = () if found["faults"] is None else FAULTS_DECODER.decode(found["faults"])
    return Standing(DECODER.decode(found["batch"]), found["status"].decode(), faults=faults, **numbers, **names)


def _key(name: BatchName) -> str:
    return f"penstock:batch:{{{name.account}}}:{name.id}"


def _rows(name: BatchName) -> str:
    return f"{_key(name)}:rows"


def _segments(name: BatchName) -> str:
    return f"{_key(name)}:segments"


def _index(account: str) -> str:
    return f"penstock:batches:{{{account}}}"


def _open(account: str) -> str:
    return f"{_index(account)}:open"


def _request(batch: Batch) -> str:
    return f"{_index(batch.account)}:request:{batch.request_id or ''}"
