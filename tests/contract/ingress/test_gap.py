"""An end that Redis told nobody is found in the job's record."""

import asyncio
import secrets
import time

from ingress.gap import MissedEnds
from ingress.relay import Relay
from storage.jobs import JobRecords
from storage.line import Line


async def test_only_a_request_whose_job_has_ended_is_failed(line: Line) -> None:
    relay = Relay(ping_s=15, stall_s=60)
    ended, running = (f"job_{secrets.token_hex(16)}" for _ in range(2))
    boxes = {job_id: relay.open(job_id, 60, whole=False) for job_id in (ended, running)}
    records = JobRecords(line, "worker", secrets.token_hex(4))
    for job_id in boxes:
        await records.claim(job_id, int(time.time() * 1000) + 60_000)
    await records.finish(ended, b"{}")

    missed = MissedEnds(relay, line)
    missed.begin()
    async with asyncio.timeout(10):
        await boxes[ended].until_ended()
    missed.close()

    failed = boxes[ended].ended
    assert failed is not None
    assert failed.error is not None
    assert failed.error.code == "stream_cut"
    assert boxes[running].ended is None
