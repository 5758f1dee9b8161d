import asyncio

import msgspec

from schemas.lanes import LANES_CHANNEL, LaneReport
from storage.subscription import Subscription
from tests.contract.workers.lane import Lane
from tests.contract.workers.test_loop import Held
from tests.waiting import eventually
from workers.report import report


async def test_every_ingress_hears_how_a_lane_stands(lane: Lane) -> None:
    heard: list[LaneReport] = []
    decode = msgspec.msgpack.Decoder(LaneReport).decode
    subscription = Subscription(
        lane.redis_url, lane.line, {LANES_CHANNEL: lambda payload: heard.append(decode(payload))}, lambda: None
    )
    await subscription.open()
    engine = Held()
    async with lane.worker(slots=2, engine=engine) as worker:
        reporting = asyncio.create_task(report(worker.line, "w", [worker.loop]))
        await eventually(lambda: heard)
        assert heard[0] == LaneReport(lane.name, "w", 2, 0, 0, 0.0)
        jobs = [lane.job() for _ in range(5)]
        await lane.submit(*jobs)
        await eventually(lambda: (heard[-1].running, heard[-1].lag) == (2, 3))
        engine.go_on.set()
        await eventually(lambda: heard[-1].ended_per_s > 0)
        assert heard[-1].running == 0
        reporting.cancel()
    await subscription.close()
