"""Long jobs watched until they end: a poll that waits, and a stream of events. Every family of doors has both."""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import Query
from starlette.responses import Response, StreamingResponse

from ingress.door import Door
from schemas.errors import NotFound, PenstockError, Undecidable
from storage.async_changes import Watch
from storage.async_record import AsyncJob

MOST_WAIT_S: Final = 60
OUTAGE_S: Final = 10.0
"""How long a stream outlasts a Redis that is away."""

PING: Final = b": ping\n\n"
EVENT_STREAM: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
ENCODE: Final = msgspec.json.Encoder().encode

POLL_AFTER: Final = "openai-poll-after-ms"
POLL_FIRST_MS: Final = 500
POLL_LAST_MS: Final = 10_000
POLL_SHARE: Final = 20
"""A client polls again after a twentieth of what the job has taken so far, so it learns of the end that much late."""

Wait = Annotated[
    float, Query(ge=0, le=MOST_WAIT_S, description="Seconds to wait for the job's end; it is answered then at last")
]
View = Callable[[AsyncJob], Awaitable[dict[str, Any]]]


async def settled(door: Door, job: AsyncJob, wait_s: float) -> AsyncJob:
    """The job once it has ended, or as it stands after `wait_s`. Raises Undecidable, or NotFound once it is deleted."""
    if job.ending is not None or wait_s <= 0:
        return job
    give_up_at = time.monotonic() + wait_s
    with door.changes.watch(job.name) as watch:
        while True:
            job = await _now(door, job)
            left_s = give_up_at - time.monotonic()
            if job.ending is not None or left_s <= 0:
                return job
            await watch.changed(left_s)


def poll_headers(job: AsyncJob, now_ms: int) -> dict[str, str]:
    """When to ask again, as OpenAI's client reads it; nothing once the job has ended."""
    if job.ending is not None:
        return {}
    after_ms = (now_ms - job.accepted_at_ms) // POLL_SHARE
    return {POLL_AFTER: str(min(POLL_LAST_MS, max(POLL_FIRST_MS, after_ms)))}


def followed(door: Door, job: AsyncJob, kind: str, view: View) -> Response:
    """A stream of events `{kind}.{status}`, each with the job as it stands then, up to the one that is its end.

    A job that is deleted meanwhile ends as `{kind}.deleted`.
    """
    return StreamingResponse(_events(door, job, kind, view), media_type="text/event-stream", headers=EVENT_STREAM)


async def _events(door: Door, job: AsyncJob, kind: str, view: View) -> AsyncGenerator[bytes, None]:
    told: dict[str, Any] = {}
    with door.changes.watch(job.name) as watch:
        while True:
            try:
                job = await _surely_now(door, job)
                seen = await view(job)
            except NotFound:
                yield _event(f"{kind}.deleted", {"id": told.get("id"), "deleted": True})
                return
            except (PenstockError, OSError) as failure:
                # A stream that just stopped would look like a job that goes on.
                yield _event("error", {"error": _error(failure)})
                return
            if seen != told:
                told = seen
                yield _event(f"{kind}.{job.status}", seen)
            if job.ending is not None:
                return
            async for ping in _pings(watch, door.settings.ping_s):
                yield ping


async def _pings(watch: Watch, ping_s: float) -> AsyncGenerator[bytes, None]:
    """A ping for every `ping_s` without a change, up to the next one."""
    while not await watch.changed(ping_s):
        yield PING


async def _surely_now(door: Door, job: AsyncJob) -> AsyncJob:
    give_up_at = time.monotonic() + OUTAGE_S
    while True:
        try:
            return await _now(door, job)
        except Undecidable:
            if time.monotonic() > give_up_at:
                raise
            with door.changes.watch(job.name) as watch:
                await watch.changed(1.0)


async def _now(door: Door, job: AsyncJob) -> AsyncJob:
    now = await door.jobs.get(job.account, job.id)
    if now is None:
        raise NotFound("The job was deleted.")
    return now


def _event(name: str, body: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + ENCODE(body) + b"\n\n"


def _error(failure: Exception) -> dict[str, str]:
    if isinstance(failure, PenstockError):
        return {"code": failure.code, "message": failure.message}
    return {"code": Undecidable.code, "message": "The object storage is out of reach."}
