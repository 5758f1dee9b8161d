"""The dispatcher of long jobs: `python -m workers.dispatch --lane video.default [--lane …]`."""

import asyncio
import logging
import secrets
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import uvloop

from schemas.errors import InvalidValue, Undecidable
from schemas.topics import lane_topic
from storage.async_jobs import AsyncJobs
from storage.async_record import JobName
from storage.async_views import Views
from storage.database import Database
from storage.expiring import ExpiringObjects
from storage.jobs import JobRecords
from storage.kafka import LogProducer
from storage.lane_consumer import PATIENT_FETCH_WAIT_MS, LaneConsumer
from storage.limits import LimitStore
from storage.line import Line
from storage.object_storage import open_objects
from storage.objects import Objects
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from storage.webhook_secrets import WebhookSecrets
from storage.worker_names import take_name
from workers.engines.setup import SetupError
from workers.long.dispatcher import Dispatcher
from workers.long.ends import Ends
from workers.long.queue import Task, make_app, send
from workers.long.settings import LongSettings
from workers.long.sweep import Sweep
from workers.name import keep_name
from workers.report import report
from workers.settle import Settler
from workers.webhooks.caller import Caller
from workers.webhooks.delivery import Deliveries
from workers.webhooks.settings import WebhookSettings

log = logging.getLogger("workers.dispatch")


async def serve(
    storage: StorageSettings,
    settings: LongSettings,
    webhooks: WebhookSettings,
    observe: ObserveSettings,
    lanes: Sequence[str],
    *,
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    """Dispatches these lanes' jobs, and sweeps all lanes', until `stop` is set or a part of it fails."""
    async with AsyncExitStack() as keep:
        work = await _open(keep, storage, settings, observe, lanes, webhooks=webhooks)
        ready()
        log.info("dispatcher_ready", extra={"lanes": list(lanes), "worker": settings.worker_name})
        tasks = [asyncio.create_task(each) for each in (*work, stop.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()


async def _open(
    keep: AsyncExitStack,
    storage: StorageSettings,
    settings: LongSettings,
    observe: ObserveSettings,
    lanes: Sequence[str],
    *,
    webhooks: WebhookSettings,
) -> list[Coroutine[Any, Any, Any]]:
    """Opens what the dispatcher holds, and gives what is then to run for ever."""
    line = Line(storage.redis)
    await line.open()
    keep.push_async_callback(line.close)
    producer = LogProducer(storage.cluster, settings.worker_name)
    await producer.open()
    keep.push_async_callback(producer.close)
    objects = await keep.enter_async_context(open_objects(storage))
    app = make_app(storage.redis)
    keep.callback(app.close)

    async def send_task(task: Task, name: JobName) -> None:
        await asyncio.to_thread(send, app, task, name)

    jobs, incarnation = AsyncJobs(line), secrets.token_hex(4)
    ends = Ends(
        jobs,
        line=line,
        producer=producer,
        limits=LimitStore(line),
        objects=objects,
        expiring=ExpiringObjects(line, objects),
        cancel=partial(send_task, "cancel"),
    )
    sweep = Sweep(jobs, ends, send_task, int(settings.long_keep_s * 1000))
    settler = Settler(JobRecords(line, settings.worker_name, incarnation), producer, objects)
    await take_name(line, settings.worker_name, incarnation)
    dispatchers = await _open_dispatchers(keep, storage, settings, lanes, jobs=jobs, settler=settler, send=send_task)
    keep.enter_context(exposed(observe, line.connected.is_set))
    deliveries = await _open_deliveries(keep, storage, webhooks, line=line, jobs=jobs, objects=objects)
    return [
        deliveries.run(),
        sweep.run(),
        report(line, settings.worker_name, dispatchers),
        keep_name(line, settings.worker_name, incarnation),
        *(each.run() for each in dispatchers),
        *(each.commit() for each in dispatchers),
    ]


async def _open_dispatchers(
    keep: AsyncExitStack,
    storage: StorageSettings,
    settings: LongSettings,
    lanes: Sequence[str],
    *,
    jobs: AsyncJobs,
    settler: Settler,
    send: Callable[[Task, JobName], Awaitable[None]],
) -> list[Dispatcher]:
    """One for each lane, which has its partitions."""
    dispatchers = []
    for lane in lanes:
        consumer = LaneConsumer(
            storage.cluster,
            lane_topic(lane),
            f"penstock.{lane}",
            f"{settings.worker_name}.{lane}",
            fetch_wait_ms=PATIENT_FETCH_WAIT_MS,
        )
        await consumer.open()
        keep.push_async_callback(consumer.close)
        dispatchers.append(
            Dispatcher(lane, settings.long_slots, consumer=consumer, jobs=jobs, settler=settler, send=send)
        )
    return dispatchers


async def _open_deliveries(
    keep: AsyncExitStack,
    storage: StorageSettings,
    webhooks: WebhookSettings,
    *,
    line: Line,
    jobs: AsyncJobs,
    objects: Objects,
) -> Deliveries:
    database = await Database.open(storage.database)
    keep.push_async_callback(database.close)
    caller = Caller(webhooks.webhook_networks, http=webhooks.webhook_http, limit_s=webhooks.webhook_s)
    keep.push_async_callback(caller.close)
    return Deliveries(line, jobs, Views(objects), WebhookSecrets(database), caller, retry_s=webhooks.webhook_retry_s)


async def _main(lanes: Sequence[str], storage: StorageSettings, observe: ObserveSettings) -> None:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    settings, webhooks = read_settings(LongSettings), read_settings(WebhookSettings)
    await serve(storage, settings, webhooks, observe, lanes, ready=started, stop=stop)


def main() -> int:
    words = parser(
        "python -m workers.dispatch", __doc__, [StorageSettings, LongSettings, WebhookSettings, ObserveSettings]
    )
    words.add_argument("--lane", action="append", required=True, help="lane to dispatch, as in video.default")
    lanes = list(dict.fromkeys(words.parse_args().lane))
    configure("dispatcher", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("dispatcher", observe)
        uvloop.run(_main(lanes, read_settings(StorageSettings), observe))
    except (InvalidValue, SetupError, Undecidable) as failure:
        log.error("dispatcher_stopped", extra={"reason": str(failure)})  # noqa: TRY400 - one line, its reason is all
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
