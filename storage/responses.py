"""Responses at rest: each the account's own, found by its id, gone some days after it was made.

A response is put into Redis, which costs its client next to nothing, and moved from there to object storage when it is
no longer new. Its id begins with the time it was made, so a read knows where to look and whether it is too old, and
a whole day expires at once.

    penstock:response:{account}:{id}    string  the encoded record
    penstock:responses                  zset    account:id → when it is moved
    responses/{day}/{account}/{id}      object  the encoded record
"""

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from schemas.errors import Undecidable
from storage.due import DueList
from storage.limits import Scope
from storage.line import Line
from storage.objects import Objects

ROOT: Final = "responses"
DUE: Final = "penstock:responses"
RESPONSE_ID: Final = re.compile(r"resp_([0-9a-f]{12})[0-9a-f]{20}")
"""The job's number: milliseconds since 1970, then chance."""

DAY_MS: Final = 86_400_000
NEW_MS: Final = 30_000
"""For how long a response stays in Redis: most are gone on from within seconds, or never."""

KEPT_MS: Final = 7 * DAY_MS
"""How long Redis keeps what no process is there to move."""

LARGEST_IN_REDIS_BYTES: Final = 256 * 1024
MOST_MOVED: Final = 64
TAKEN_MS: Final = 30_000
"""For how long what is to be moved is left to the process that took it."""

Items = list[dict[str, Any]]


class Ticket(msgspec.Struct, frozen=True):
    """What any process needs to bring a background job to its end: where it runs, until when, what it holds.

    `stream` says that its deltas come one by one.
    """

    lane: str
    deadline_ms: int
    stream: bool
    scopes: tuple[Scope, ...]
    reserved_tokens: int


class StoredResponse(msgspec.Struct, frozen=True, omit_defaults=True):
    """A response as its account may read it again.

    `body` is the object in JSON. `history` is all that was said before `input`, both as items. A background response
    has its `ticket` until its end and, after it, `ended_at_s` and the encoded `chunks` that its stream can be made
    from again.
    """

    id: str
    account: str
    body: bytes
    input: Items
    history: Items = []
    ticket: Ticket | None = None
    chunks: bytes | None = None
    ended_at_s: int = 0


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(StoredResponse)


class ResponseStore:
    """What is put is there for every process of the platform at once, and outlives each of them.

    Raises Undecidable when neither of the two places can be reached, or the one that would know.
    """

    def __init__(self, line: Line, objects: Objects, keep_days: int) -> None:
        self._line = line
        self._objects = objects
        self._due = DueList(line, DUE)
        self._keep_days = keep_days

    async def put(self, response: StoredResponse) -> None:
        encoded = ENCODER.encode(response)
        new = _new(response.account, response.id)
        if len(encoded) > LARGEST_IN_REDIS_BYTES:
            await self._put_object(response, encoded)
            await self._line.call("DEL", new)
            return
        try:
            kept = self._line.call("SET", new, encoded, "PX", KEPT_MS)
            if response.ticket is None:
                # Moved once and for all, since there is no version of it after this one.
                await self._due.note(f"{response.account}:{response.id}", time.time_ns() // 1_000_000 + NEW_MS)
            await kept
        except Undecidable:
            await self._put_object(response, encoded)

    async def get(self, account: str, response_id: str) -> StoredResponse | None:
        """The account's response with this id, unless there is none, or none any more."""
        key = self._key(account, response_id)
        if key is None:
            return None
        away: Undecidable | None = None
        try:
            if (found := await self._line.call("GET", _new(account, response_id))) is not None:
                return DECODER.decode(found)
        except Undecidable as failure:
            away = failure
        try:
            return DECODER.decode(await self._objects.get(key))
        except FileNotFoundError:
            if away is not None:
                raise away from None
            return None
        except OSError as failure:
            raise Undecidable("Stored responses cannot be read at the moment.", retry_after_s=5) from failure

    async def delete(self, account: str, response_id: str) -> None:
        key = self._key(account, response_id)
        if key is not None:
            # In this order: what is being moved just now is then taken back by its mover.
            await self._line.call("DEL", _new(account, response_id))
            await self._objects.delete(key)

    async def move(self) -> int:
        """Moves some responses that are no longer new to where they rest, and says how many."""
        members = await self._due.take(MOST_MOVED, TAKEN_MS)
        if not members:
            return 0
        names = [tuple(member.split(":", 1)) for member in members]
        found = await self._line.call("MGET", *[_new(account, response_id) for account, response_id in names])
        bodies = {
            key: body
            for (account, response_id), body in zip(names, found, strict=True)
            if body is not None and (key := self._key(account, response_id)) is not None
        }
        await self._objects.put_all(bodies)
        for member, (account, response_id) in zip(members, names, strict=True):
            if await self._due.drop(member) and not await self._line.call("DEL", _new(account, response_id)):
                # It was deleted while it was on its way.
                await self.delete(account, response_id)
        return len(members)

    async def sweep(self) -> int:
        """Deletes the days that have expired, and says how many there were."""
        expired = [day for day in await self._objects.groups(ROOT) if day < self._first_day().isoformat()]
        for day in expired:
            await self._objects.delete_group(f"{ROOT}/{day}")
        return len(expired)

    async def _put_object(self, response: StoredResponse, encoded: bytes) -> None:
        key = self._key(response.account, response.id)
        assert key is not None, response.id
        try:
            await self._objects.put(key, encoded)
        except OSError as failure:
            raise Undecidable("Responses cannot be stored at the moment.", retry_after_s=5) from failure

    def _key(self, account: str, response_id: str) -> str | None:
        found = RESPONSE_ID.fullmatch(response_id)
        made_ms = int(found[1], 16) if found else 0
        age_ms = time.time_ns() // 1_000_000 - made_ms
        if not -DAY_MS < age_ms < self._keep_days * DAY_MS:
            return None
        return f"{ROOT}/{datetime.fromtimestamp(made_ms / 1000, UTC).date().isoformat()}/{account}/{response_id}"

    def _first_day(self) -> date:
        return datetime.now(UTC).date() - timedelta(days=self._keep_days)


def _new(account: str, response_id: str) -> str:
    return f"penstock:response:{account}:{response_id}"
