"""The worker process: `python -m workers --lane text.default [--lane …]`."""

import asyncio
import logging
import math
import os
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
from storage.heap import freeze_heap
from storage.lane_consumer import FETCH_WAIT_MS, PATIENT_FETCH_WAIT_MS, LaneConsumer
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import notify_ready
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from storage.worker_names import take_name
from workers.candidates import Candidates
from workers.engine import Engine
from workers.engine_signals.following import Following
from workers.engines.setup import SetupError
from workers.lane_slots import lane_slots
from workers.leftover import Leftover
from workers.loop import LaneLoop
from workers.name import keep_name
from workers.registry import Starts, build
from workers.report import report
from workers.settings import WorkerSettings
from workers.shared import open_shared
from workers.slots import Turns

OUTBOX_UNUSED_S = 300.0

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
            self._stack.enter_context(exposed(self._observe, self._shared.line.connected.is_set))
            freeze_heap()
            notify_ready()
            log.info("worker_ready", extra={"lanes": list(lanes), "worker": self._settings.worker_name})
            await self._run(loops, stop)

    async def _open(self, catalog: Catalog, lanes: Sequence[str]) -> list[LaneLoop]:
        """The loops of all lanes, each of which has its partitions."""
        shared = self._shared = await open_shared(self._stack, self._storage, self._settings, self._observe, lanes)
        loops = [loop for lane in lanes for loop in await self._loops_of(lane, catalog)]
        for each in self._following.values():
            self._stack.push_async_callback(each.close)
        await take_name(shared.line, self._settings.worker_name, shared.incarnation)
        for loop in loops:
            await loop.open()
            self._stack.push_async_callback(loop.close)
        return loops

    async def _loops_of(self, lane: str, catalog: Catalog) -> list[LaneLoop]:
        """The lane's own, and that of its batches, which has what the first leaves of the same slots."""
        own = [model for model in catalog if model.lane == lane]
        engines = await self._engines(own)
        slots, following = lane_slots(own, engines, self._settings.slots)
        self._following |= following
        await self._add_fallbacks(catalog, own, engines)
        candidates = Candidates(catalog, engines, self._shared.inliner, self._shared.deposits)
        loops = [self._loop(lane, slots, candidates, self._settings.max_queue_wait_s)]
        of_batches = batch_lane(lane)
        if of_batches is not None and self._settings.batch_share:
            loops.append(self._loop(of_batches, Leftover(slots, self._settings.batch_share), candidates))
        return loops

    def _loop(self, lane: str, slots: Turns, candidates: Candidates, patience_s: float = math.inf) -> LaneLoop:
        shared = self._shared
        return LaneLoop(
            lane,
            slots,
            candidates=candidates,
            consumer=self._consumer(lane),
            records=shared.records,
            runs=shared.runs,
            outboxes=shared.outboxes,
            log_replies=shared.log_replies,
            objects=shared.objects,
            settler=shared.settler,
            tracing=shared.tracing,
            patience_s=patience_s,
            turned_away=self._turned_away,
        )

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
        shared = self._shared
        serving = [asyncio.create_task(lane.run()) for lane in loops]
        serving.append(asyncio.create_task(report(shared.line, self._settings.worker_name, loops)))
        keeping = [asyncio.create_task(lane.commit()) for lane in loops]
        keeping.append(
            asyncio.create_task(keep_name(self._shared.line, self._settings.worker_name, self._shared.incarnation))
        )
        keeping.append(asyncio.create_task(self._shared.runs.keep_leases()))
        keeping.append(asyncio.create_task(self._sweep()))
        keeping += [asyncio.create_task(each.run()) for each in self._following.values()]
        stopping = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([*serving, *keeping, stopping], return_when=asyncio.FIRST_COMPLETED)
            await _cancel(serving)
            await asyncio.gather(*[lane.drain(self._settings.drain_s) for lane in loops])
            await self._shared.outboxes.drain(timeout_s=1)
        finally:
            await _cancel([*serving, *keeping, stopping])
        for task in done - {stopping}:
            task.result()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(OUTBOX_UNUSED_S)
            self._shared.outboxes.sweep(OUTBOX_UNUSED_S)


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
