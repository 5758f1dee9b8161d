"""The worker of long jobs' steps, which is a Celery worker: `python -m workers.jobs_worker`."""

import asyncio
import concurrent.futures
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import uvloop
from celery.apps.worker import Worker
from celery.signals import setup_logging, worker_ready

from schemas.catalog import Catalog
from schemas.errors import InvalidValue, Undecidable
from storage.async_jobs import AsyncJobs
from storage.async_record import JobName
from storage.catalog import CatalogError, catalog_files, load_catalog
from storage.expiring import ExpiringObjects
from storage.line import Line
from storage.object_storage import open_objects
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from workers.engines.setup import SetupError
from workers.job_engine import JobEngine
from workers.job_registry import LONG, build
from workers.long.queue import QUEUE, TASK_S, TASKS, Task, make_app, register
from workers.long.settings import LongSettings
from workers.long.steps import Steps

OPEN_S: Final = 30.0

log = logging.getLogger("workers.jobs_worker")


class StepRunner:
    """One event loop, in a thread of its own, that does the steps which Celery's threads wait for.

    Celery's own time limits need a process for each task; here a step that takes too long is cancelled by the loop.
    """

    def __init__(self, storage: StorageSettings) -> None:
        self._storage = storage
        self._keep = AsyncExitStack()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="steps", daemon=True)

    def open(self, catalog: Catalog) -> None:
        """Raises Undecidable, SetupError or InvalidValue."""
        self._thread.start()
        self._call(self._open(catalog), OPEN_S)

    def close(self) -> None:
        self._call(self._keep.aclose(), OPEN_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def ready(self) -> bool:
        return self._line.connected.is_set()

    def do(self, task: Task, member: str) -> None:
        name = JobName.of(member)
        try:
            self._call(self._steps.cancel(name) if task == "cancel" else self._steps.do(task, name), TASK_S)
        except Undecidable as failure:
            log.warning("step_waits", extra={"job_id": name.id, "step": task, "reason": failure.message})

    async def _open(self, catalog: Catalog) -> None:
        keep, storage = self._keep, self._storage
        self._line = line = Line(storage.redis)
        await line.open()
        keep.push_async_callback(line.close)
        objects = await keep.enter_async_context(open_objects(storage))
        engines: dict[str, JobEngine] = {}
        for model in catalog:
            if model.modality in LONG:
                engines[model.id] = build(model, os.environ)
                keep.push_async_callback(engines[model.id].close)
        self._steps = Steps(AsyncJobs(line), engines, objects, ExpiringObjects(line, objects))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, None], within_s: float) -> None:
        """Raises what the work does, and TimeoutError."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            future.result(within_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise


def serve(
    storage: StorageSettings, settings: LongSettings, observe: ObserveSettings, then: Callable[[], None] = started
) -> int:
    """Does steps, in the main thread, until the process is told to stop; calls `then` when it has begun."""
    app = make_app(storage.redis)
    runner = StepRunner(storage)
    runner.open(load_catalog(catalog_files(storage.catalog)))
    try:
        for task in TASKS:
            register(app, task, partial(runner.do, task))

        def ready(**_: object) -> None:
            log.info("jobs_worker_ready")
            then()

        worker_ready.connect(ready, weak=False)
        # Who listens here sets logging up in Celery's place.
        setup_logging.connect(_logging_is_set_up, weak=False)
        worker: Worker = app.Worker(
            pool="threads",
            concurrency=settings.long_steps,
            queues=[QUEUE],
            quiet=True,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )
        with exposed(observe, runner.ready):
            worker.start()
    finally:
        runner.close()
    return worker.exitcode or 0


def _logging_is_set_up(**_: object) -> None:
    """Celery asks; `main` has done it."""


def main() -> int:
    parser("python -m workers.jobs_worker", __doc__, [StorageSettings, LongSettings, ObserveSettings]).parse_args()
    configure("jobs-worker", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("jobs-worker", observe)
        return serve(read_settings(StorageSettings), read_settings(LongSettings), observe)
    except (CatalogError, InvalidValue, SetupError, Undecidable) as failure:
        log.error("jobs_worker_stopped", extra={"reason": str(failure)})  # noqa: TRY400 - one line, its reason is all
        return 1


if __name__ == "__main__":
    sys.exit(main())
