"""Responses at rest: each the account's own, found by its id, gone some days after it was made.

A response is one object, `responses/{day}/{account}/{id}`. Its id begins with the time it was made, so a read knows
where to look and whether it is too old, and a whole day expires at once.
"""

import re
import time
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec

from schemas.errors import Undecidable
from storage.limits import Scope
from storage.objects import ObjectFolder

ROOT: Final = "responses"
RESPONSE_ID: Final = re.compile(r"resp_([0-9a-f]{12})[0-9a-f]{20}")
"""The job's number: milliseconds since 1970, then chance."""

DAY_MS: Final = 86_400_000

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
    """What is put is there for every process of the platform at once. Raises Undecidable when it cannot be reached."""

    def __init__(self, objects: ObjectFolder, keep_days: int) -> None:
        self._objects = objects
        self._keep_days = keep_days

    async def put(self, response: StoredResponse, *, durable: bool = False) -> None:
        """A response that was accepted and not yet given needs to be `durable`: its client has nothing else."""
        key = self._key(response.account, response.id)
        assert key is not None, response.id
        try:
            await self._objects.put(key, ENCODER.encode(response), durable=durable)
        except OSError as failure:
            raise Undecidable("Responses cannot be stored at the moment.", retry_after_s=5) from failure

    async def get(self, account: str, response_id: str) -> StoredResponse | None:
        """The account's response with this id, unless there is none, or none any more."""
        key = self._key(account, response_id)
        if key is None:
            return None
        try:
            return DECODER.decode(await self._objects.get(key))
        except FileNotFoundError:
            return None
        except OSError as failure:
            raise Undecidable("Stored responses cannot be read at the moment.", retry_after_s=5) from failure

    async def delete(self, account: str, response_id: str) -> None:
        key = self._key(account, response_id)
        if key is not None:
            await self._objects.delete(key)

    async def sweep(self) -> int:
        """Deletes the days that have expired, and says how many there were."""
        expired = [day for day in await self._objects.groups(ROOT) if day < self._first_day().isoformat()]
        for day in expired:
            await self._objects.delete_group(f"{ROOT}/{day}")
        return len(expired)

    def _key(self, account: str, response_id: str) -> str | None:
        found = RESPONSE_ID.fullmatch(response_id)
        made_ms = int(found[1], 16) if found else 0
        age_ms = time.time_ns() // 1_000_000 - made_ms
        if not -DAY_MS < age_ms < self._keep_days * DAY_MS:
            return None
        return f"{ROOT}/{datetime.fromtimestamp(made_ms / 1000, UTC).date().isoformat()}/{account}/{response_id}"

    def _first_day(self) -> date:
        return datetime.now(UTC).date() - timedelta(days=self._keep_days)
