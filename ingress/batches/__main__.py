"""The runner of batches: `python -m ingress.batches`. Any number of them share the batches there are."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import uvloop
from pydantic_settings import BaseSettings

from ingress.batches.gathering import Gatherer
from ingress.batches.running import Runner
from ingress.batches.segments import Segments
from ingress.batches.settings import BatchSettings
from ingress.door import Door
from ingress.log_door.pipeline import Pipeline
from ingress.settings import IngressSettings
from schemas.errors import InvalidValue, Undecidable
from schemas.topics import BATCH_REPLIES
from storage.catalog import CatalogError
from storage.kafka_security import Kafka
from storage.lane_consumer import PATIENT_FETCH_WAIT_MS, LaneConsumer
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings

GROUP: Final = "penstock.batches"
LINGER_MS: Final = 5
"""Nobody waits for one line alone, so those of a moment share a request to Kafka."""

log = logging.getLogger("ingress")


async def serve(
    door: Door, kafka: Kafka, settings: BatchSettings, ready: Callable[[], None], stop: asyncio.Event
) -> None:
    """Says once that it is `ready`, and runs batches behind an open door until `stop` is set.

    Raises what ends a part of it.
    """
    instance = settings.instance or f"batches-{socket.gethostname()}-{os.getpid()}"
    consumer = LaneConsumer(kafka, BATCH_REPLIES, GROUP, instance, fetch_wait_ms=PATIENT_FETCH_WAIT_MS)
    await consumer.open()
    segments = Segments(door.batches, door.objects, door.expiring)
    replies = Pipeline(consumer, Gatherer(door, segments).gather, settings.open)
    steps = [replies.run(), Runner(door, segments, settings).run(), replies.commit(), stop.wait()]
    tasks: list[asyncio.Task[Any]] = [asyncio.create_task(step) for step in steps]
    try:
        ready()
        log.info("batches_ready", extra={"instance": instance})
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks[:2]:
            task.cancel()
        segments.flush_all()
        await replies.drain(door.settings.drain_s)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await segments.close()
        await consumer.close()
    for task in done:
        task.result()


async def _main(storage: StorageSettings, observe: ObserveSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = read_settings(BatchSettings)
    async with Door(storage, read_settings(IngressSettings), observe, linger_ms=LINGER_MS) as door:
        with exposed(observe, lambda: door.ready):
            await serve(door, storage.cluster, settings, started, stop)


def main() -> int:
    kinds: list[type[BaseSettings]] = [StorageSettings, IngressSettings, BatchSettings, ObserveSettings]
    parser("python -m ingress.batches", __doc__, kinds).parse_args()
    configure("batches", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("batches", observe)
        uvloop.run(_main(read_settings(StorageSettings), observe))
    except (CatalogError, InvalidValue, Undecidable) as failure:
        log.critical("batches_stopped", extra={"reason": str(failure)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
