"""The worker process: `python -m workers --lane text.default [--lane …]`."""

import asyncio
import logging
import math
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import uvloop

from schemas.catalog import Catalog, Model
from schemas.errors import InvalidValue, Undecidable
from schemas.topics import BATCH_LANE, batch_lane, lane_topic
from storage.catalog import CatalogError, catalog_files, load_catalog
from storage.expiring import ExpiringObjects
from storage.heap import freeze_heap
from storage.jobs import JobRecords, cancel_channel
from storage.kafka import LogProducer
from storage.lane_consumer import FETCH_WAIT_MS, PATIENT_FETCH_WAIT_MS, LaneConsumer
from storage.line import Line
from storage.log_replies import LogReplies
from storage.object_storage import open_objects
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.observe.tracing import Tracing
from storage.ready import notify_ready
from storage.replies import Outboxes
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from storage.subscription import Subscription
from storage.worker_names import take_name
from workers.candidates import Candidates
from workers.engine import Engine
from workers.engine_signals.following import Following
from workers.engines.setup import SetupError
from workers.fetch import Fetcher
from workers.images import Inliner
from workers.lane_slots import lane_slots
from workers.leftover import Leftover
from workers.loop import LaneLoop
from workers.name import keep_name
from workers.pictures import Deposits
from workers.registry import Starts, build
from workers.report import report
from workers.runs import Runs
from workers.settings import WorkerSettings
from workers.settle import Settler
from workers.slots import Turns

OUTBOX_UNUSED_S = 300.0
USAGE_LINGER_MS = 10
"""Nobody waits for a usage event, so those of a moment share a request to Kafka."""

log = logging.getLogger("workers")


class Worker:
    """Everything one worker process holds, opened in order and closed in reverse."""

    def __init__(self, storage: StorageSettings, settings: WorkerSettings, observe: ObserveSettings) -> None:
        self._storage = storage
        self._settings = settings
        self._observe = observe
        self._stack = AsyncExitStack()
        self._following: dict[str, Following] = {}

    async def serve(self, lanes: Sequence[str], stop: asyncio.Event) -> None:
        """Runs the lanes until `stop` is set or a part of the worker fails."""
        catalog = load_catalog(catalog_files(self._storage.catalog))
        async with self._stack:
            loops = await self._open(catalog, lanes)
            # Ready is who can take jobs and answer them.
            self._stack.enter_context(exposed(self._observe, self._line.connected.is_set))
            freeze_heap()
            notify_ready()
            log.info("worker_ready", extra={"lanes": list(lanes), "worker": self._settings.worker_name})
            await self._run(loops, stop)

    async def _open(self, catalog: Catalog, lanes: Sequence[str]) -> list[LaneLoop]:
        keep = self._stack
        line = Line(self._storage.redis)
        await line.open()
        keep.push_async_callback(line.close)
        producer = LogProducer(self._storage.cluster, self._settings.worker_name, linger_ms=USAGE_LINGER_MS)
        await producer.open()
        keep.push_async_callback(producer.close)
        tracing = Tracing("worker", self._observe.otlp_endpoint)
        keep.callback(tracing.close)

        self._incarnation = secrets.token_hex(4)
        records = JobRecords(line, self._settings.worker_name, self._incarnation)
        self._runs = Runs(records)
        self._line = line
        self._outboxes = Outboxes(line, self._runs.nobody_listens)
        batches = [batch for lane in lanes if (batch := batch_lane(lane)) is not None]
        handlers = {cancel_channel(lane): self._runs.cancelled for lane in [*lanes, *batches]}
        subscription = Subscription(self._storage.redis, line, handlers, on_gap=lambda: None)
        await subscription.open()
        keep.push_async_callback(subscription.close)

        fetcher = Fetcher(self._settings.fetch_networks, http=self._settings.fetch_http, limit_s=self._settings.fetch_s)
        keep.push_async_callback(fetcher.close)
        inliner = Inliner(fetcher)
        objects = await keep.enter_async_context(open_objects(self._storage))
        expiring = ExpiringObjects(line, objects)
        deposits = Deposits(expiring, fetcher)

        def loop_of(lane: str, slots: Turns, candidates: Candidates, patience_s: float = math.inf) -> LaneLoop:
            return LaneLoop(
                lane,
                slots,
                candidates=candidates,
                consumer=self._consumer(lane),
                records=records,
                runs=self._runs,
                outboxes=self._outboxes,
                log_replies=LogReplies(producer, expiring),
                objects=objects,
                settler=Settler(records, producer, objects),
                tracing=tracing,
                patience_s=patience_s,
                turned_away=self._turned_away,
            )

        loops = []
        for lane in lanes:
            own = [model for model in catalog if model.lane == lane]
            engines = await self._engines(own)
            slots, following = lane_slots(own, engines, self._settings.slots)
            self._following |= following
            await self._add_fallbacks(catalog, own, engines)
            candidates = Candidates(catalog, engines, inliner, deposits)
            loops.append(loop_of(lane, slots, candidates, self._settings.max_queue_wait_s))
            of_batches = batch_lane(lane)
            if of_batches is not None and self._settings.batch_share:
                loops.append(loop_of(of_batches, Leftover(slots, self._settings.batch_share), candidates))
        for each in self._following.values():
            keep.push_async_callback(each.close)
        await take_name(line, self._settings.worker_name, self._incarnation)
        for loop in loops:
            await loop.open()
            keep.push_async_callback(loop.close)
        return loops

    def _consumer(self, lane: str) -> LaneConsumer:
        name = self._settings.worker_name
        wait_ms = PATIENT_FETCH_WAIT_MS if lane.endswith(BATCH_LANE) else FETCH_WAIT_MS
        return LaneConsumer(
            self._storage.cluster, lane_topic(lane), f"penstock.{lane}", f"{name}.{lane}", fetch_wait_ms=wait_ms
        )

    async def _engines(self, models: Sequence[Model]) -> dict[str, Engine[Any, Any]]:
        engines: dict[str, Engine[Any, Any]] = {}
        for model in models:
            engine = engines[model.id] = build(model, os.environ)
            if isinstance(engine, Starts):
                await engine.start()
            self._stack.push_async_callback(engine.close)
        return engines

    async def _add_fallbacks(
        self, catalog: Catalog, models: Sequence[Model], engines: dict[str, Engine[Any, Any]]
    ) -> None:
        """The engines that may answer in place of the lane's own, wherever else they have a lane."""
        for model in models:
            for row in catalog.fallbacks(model):
                if row.id not in engines:
                    engines |= await self._engines([row])

    def _turned_away(self, model: str) -> bool:
        following = self._following.get(model)
        if following is not None:
            following.turned_away()
        return following is not None

    async def _run(self, loops: Sequence[LaneLoop], stop: asyncio.Event) -> None:
        serving = [asyncio.create_task(lane.run()) for lane in loops]
        serving.append(asyncio.create_task(report(self._line, self._settings.worker_name, loops)))
        keeping = [asyncio.create_task(lane.commit()) for lane in loops]
        keeping.append(asyncio.create_task(keep_name(self._line, self._settings.worker_name, self._incarnation)))
        keeping.append(asyncio.create_task(self._runs.keep_leases()))
        keeping.append(asyncio.create_task(self._sweep()))
        keeping += [asyncio.create_task(each.run()) for each in self._following.values()]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*serving, *keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
            await _cancel(serving)
            await asyncio.gather(*[lane.drain(self._settings.drain_s) for lane in loops])
            await self._outboxes.drain(timeout_s=1)
        finally:
            await _cancel([*serving, *keeping, stopping])
        for task in done - {stopping}:
            task.result()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(OUTBOX_UNUSED_S)
            self._outboxes.sweep(OUTBOX_UNUSED_S)


async def _cancel(tasks: Sequence["asyncio.Task[None] | asyncio.Task[bool]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _main(lanes: Sequence[str], storage: StorageSettings, observe: ObserveSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    await Worker(storage, read_settings(WorkerSettings), observe).serve(lanes, stop)


def main() -> int:
    words = parser("python -m workers", __doc__, [StorageSettings, WorkerSettings, ObserveSettings])
    words.add_argument("--lane", action="append", required=True, help="lane to consume, as in text.default")
    lanes = list(dict.fromkeys(words.parse_args().lane))
    configure("worker", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("worker", observe)
        uvloop.run(_main(lanes, read_settings(StorageSettings), observe))
    except (SetupError, CatalogError, InvalidValue, Undecidable) as failure:
        log.error("worker_stopped", extra={"reason": str(failure)})  # noqa: TRY400 - one line, its reason is all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
