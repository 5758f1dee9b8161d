"""Round trips to Valkey, beside those of redis-py in the same run."""

import asyncio
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from benchmarks.micro.material import DELTAS, JOB
from benchmarks.micro.timing import Timing, timed_trips
from schemas.access import Limits
from storage.jobs import JobRecords
from storage.limits import LimitStore, Scope
from storage.line import Line
from storage.local.valkey import ValkeyServer
from storage.replies import Outboxes
from storage.subscription import Subscription
from workers.reply import Reply

STOP_S: Final = 5.0
TOGETHER: Final = 32
MINUTE_MS: Final = 60_000
UNBOUND: Final = Limits(requests_per_min=100_000_000, tokens_per_min=1_000_000_000_000, in_flight=1_000_000)


async def measure() -> AsyncIterator[Timing]:
    """Starts a server of its own and stops it."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        server = ValkeyServer(Path(folder))
        child = await server.start()
        line = Line(server.url)
        try:
            await line.open()
            async for timing in _trips(server.url, line):
                yield timing
        finally:
            await line.close()
            await child.stop(STOP_S)


async def _trips(url: str, line: Line) -> AsyncIterator[Timing]:
    async with Redis.from_url(url, max_connections=TOGETHER) as redis_py:
        yield await timed_trips("valkey: PING, redis-py", redis_py.ping)
        yield await timed_trips("valkey: PING, line", lambda: line.call("PING"))

        async def together_redis_py() -> None:
            await asyncio.gather(*[redis_py.ping() for _ in range(TOGETHER)])

        async def together_line() -> None:
            await asyncio.gather(*[line.call("PING") for _ in range(TOGETHER)])

        yield await timed_trips(f"valkey: PING, redis-py, one of {TOGETHER}", together_redis_py, each=TOGETHER)
        yield await timed_trips(f"valkey: PING, line, one of {TOGETHER}", together_line, each=TOGETHER)
    yield await _limits(line)
    yield await _record(line)
    yield await _way_back(url, line)


async def _limits(line: Line) -> Timing:
    store, scopes = LimitStore(line), (Scope("default", None, UNBOUND),)

    async def reserve_and_settle() -> None:
        lease = secrets.token_hex(16)
        await store.reserve(scopes, lease, MINUTE_MS, 74)
        await store.settle(scopes, lease, 32)

    return await timed_trips("limiter: reserve, and likewise settle", reserve_and_settle, each=2)


async def _record(line: Line) -> Timing:
    records = JobRecords(line, "worker-1", "00000000")

    async def claim_and_finish() -> None:
        job_id = f"job_{secrets.token_hex(16)}"
        await records.claim(job_id, time.time_ns() // 1_000_000 + MINUTE_MS)
        await records.finish(job_id, b"x" * 400)

    return await timed_trips("job record: claim, and likewise finish", claim_and_finish, each=2)


async def _way_back(url: str, line: Line) -> Timing:
    """From a worker's reply to the ear of the ingress, without the processes between them."""
    heard = asyncio.Event()
    ear = Subscription(url, line, {JOB.reply_to: lambda _: heard.set()}, on_gap=lambda: None)
    await ear.open()
    outboxes = Outboxes(line, lambda _: None)
    reply = Reply(outboxes, JOB, 1)

    async def chunk() -> None:
        heard.clear()
        reply.add(DELTAS[:1], 12.3)
        await heard.wait()

    try:
        return await timed_trips("reply: a chunk from worker to ingress", chunk)
    finally:
        await outboxes.drain(STOP_S)
        await ear.close()
