"""Responses that nobody waits for: accepted, looked after until their end, then put where they rest.

Any ingress process can do all of it: the record says what was asked, Redis holds what was answered so far.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ingress.translate.openai_responses import Head, ResponsesFold, job_id, response_id, response_number
from ingress.unfolding import LAST_ATTEMPT, Unfolding
from schemas.chunks import Chunk, Ended, Frame
from schemas.errors import Cancelled, DeadlineExceeded, PenstockError, Undecidable, WorkerLost
from schemas.usage import UNCOUNTED, End
from storage import jobs
from storage.background import BackgroundJobs, Name, Read
from storage.limits import LimitStore
from storage.line import Line
from storage.responses import ResponseStore, StoredResponse, Ticket

TICK_S: Final = 0.5
GRACE_MS: Final = 15_000
"""A deadline is the worker's to enforce; this long after it, whoever looks does."""

CANCEL_S: Final = 3.0
"""How long the worker's own end of a cancelled job is waited for: it has the count of what was used."""

LOOK_S: Final = 0.05
"""How often a job whose next frame is waited for is looked at."""

CHUNK_ENCODER: Final = msgspec.msgpack.Encoder()
JSON_DECODER: Final = msgspec.json.Decoder(dict[str, Any])

log = logging.getLogger(__name__)


class Background:
    """Raises Undecidable wherever a store is out of reach."""

    def __init__(self, known: BackgroundJobs, store: ResponseStore, limits: LimitStore, line: Line) -> None:
        self._jobs = known
        self._store = store
        self._limits = limits
        self._line = line

    async def keep(self, response: StoredResponse) -> None:
        """Makes a response known before its job is queued."""
        ticket = _ticket(response)
        await self._store.put(response)
        await self._jobs.open(_name(response), ticket.deadline_ms, ticket.deadline_ms + GRACE_MS)

    async def forget(self, response: StoredResponse) -> None:
        """Takes back what `keep` did, for a job that was not queued."""
        await self._store.delete(response.account, response.id)
        await self._jobs.close(_name(response))

    async def read(self, response: StoredResponse, place: int) -> Read | None:
        """Frames of the response's job; None when its end has been put away."""
        return await self._jobs.read(_name(response), place)

    async def current(self, response: StoredResponse) -> StoredResponse | None:
        """The response as it stands, put away first if it has ended; None if it was deleted meanwhile."""
        if response.ticket is None:
            return response
        read = await self.read(response, 0)
        if read is None:
            return await self._settled(response)
        unfolding = Unfolding(response.ticket.stream)
        unfolding.add(read.frames)
        if unfolding.ended is not None:
            return await self._finish(response, unfolding.chunks)
        if _now_ms() > response.ticket.deadline_ms + GRACE_MS:
            late = DeadlineExceeded("The request's deadline passed before there was an answer.")
            return await self._end(response, "expired", late)
        started = bool(read.frames) or await jobs.started(self._line, job_id(response.id))
        fold = _fold(response)
        fold.status = "in_progress" if started else "queued"
        fold.add(unfolding.chunks[: unfolding.readable])
        return msgspec.structs.replace(response, body=fold.reply())

    async def cancel(self, response: StoredResponse) -> StoredResponse | None:
        """The response at its end, which is its cancellation unless another was first; None if it was deleted."""
        if response.ticket is None:
            return response
        await jobs.cancel(self._line, job_id(response.id), response.ticket.lane, response.ticket.deadline_ms)
        give_up_at = time.monotonic() + CANCEL_S
        while time.monotonic() < give_up_at:
            now = await self.current(response)
            if now is None or now.ticket is None:
                return now
            await asyncio.sleep(LOOK_S)
        return await self._end(response, "cancelled", Cancelled("The caller cancelled the response."))

    async def delete(self, response: StoredResponse) -> None:
        """Ends the response if it has not, and forgets it."""
        await self.cancel(response)
        await self._store.delete(response.account, response.id)

    async def look_after(self) -> None:
        """Puts away what has ended and ends what is overdue, for ever; also what other processes left behind."""
        while True:
            await asyncio.sleep(TICK_S)
            try:
                for name in await self._jobs.take_due():
                    await self._look_at(name)
            except Undecidable as failure:
                log.debug("background_waits", extra={"reason": failure.message})
            except Exception:
                # One job that cannot be put away must not keep the others from it.
                log.exception("background_failed")

    async def _look_at(self, name: Name) -> None:
        response = await self._store.get(name.account, response_id(name.job_id))
        if response is None or response.ticket is None:
            await self._jobs.close(name)
            return
        now = await self.current(response)
        if now is not None and now.ticket is not None:
            await self._jobs.look_later(name, now.ticket.deadline_ms + GRACE_MS)

    async def _settled(self, response: StoredResponse) -> StoredResponse | None:
        """The response whose frames are gone: put away by another process, or lost with Redis's memory."""
        now = await self._store.get(response.account, response.id)
        if now is None or now.ticket is None:
            return now
        lost = WorkerLost("What was answered in the background was lost. Ask again.")
        return await self._finish(now, [Ended("failed", UNCOUNTED, lost.data())])

    async def _end(self, response: StoredResponse, end: End, error: PenstockError) -> StoredResponse | None:
        """Ends a job that no worker has ended, unless one does so first."""
        ended = Ended(end, UNCOUNTED, error.data())
        await self._jobs.append(_name(response), [Frame(job_id(response.id), LAST_ATTEMPT, 0, [ended])])
        return await self.current(response)

    async def _finish(self, response: StoredResponse, chunks: Sequence[Chunk]) -> StoredResponse:
        """Puts the response where it rests, then settles what its job held: each once, whoever else tries."""
        ticket, ended_at_s = _ticket(response), _now_ms() // 1000
        fold = _fold(response, ended_at_s)
        fold.add(chunks)
        finished = msgspec.structs.replace(
            response, body=fold.reply(), ticket=None, chunks=CHUNK_ENCODER.encode(chunks), ended_at_s=ended_at_s
        )
        await self._store.put(finished)
        if await self._jobs.close(_name(response)):
            unused_tokens = ticket.reserved_tokens - fold.usage.input_tokens - fold.usage.output_tokens
            if fold.usage == UNCOUNTED and len(chunks) > 1:
                unused_tokens = 0  # it had begun, and what it took is not known here
            await self._limits.settle(ticket.scopes, job_id(response.id), unused_tokens)
        return finished


def head_of(response: StoredResponse) -> Head:
    """What a stored response's object says that does not change."""
    return Head(response_number(response.id), JSON_DECODER.decode(response.body))


def _fold(response: StoredResponse, ended_at_s: int = 0) -> ResponsesFold:
    return ResponsesFold(head_of(response), lambda: ended_at_s)


def _name(response: StoredResponse) -> Name:
    return Name(response.account, job_id(response.id))


def _ticket(response: StoredResponse) -> Ticket:
    assert response.ticket is not None, response.id
    return response.ticket


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
