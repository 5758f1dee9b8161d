"""The log's door: `python -m ingress.log_door`. Submissions come in through Kafka, and results go out."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import uvloop
from pydantic_settings import BaseSettings

from ingress.door import Door
from ingress.log_door.accepting import Acceptor
from ingress.log_door.answering import Answerer
from ingress.log_door.pipeline import Pipeline
from ingress.log_door.results import Results
from ingress.log_door.settings import LogDoorSettings
from ingress.settings import IngressSettings
from schemas.errors import InvalidValue, Undecidable
from schemas.topics import REPLIES, SUBMISSIONS
from storage.catalog import CatalogError
from storage.expiring import ExpiringObjects
from storage.kafka_security import Kafka
from storage.lane_consumer import LaneConsumer
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from storage.submissions import Submissions

GROUP: Final = "penstock.log-door"
LINGER_MS: Final = 2
"""Nobody waits for one message alone, so those of a moment share a request to Kafka."""

LOOK_S: Final = 1.0

log = logging.getLogger("ingress")


class LogDoor:
    """An open door whose submissions and replies come through the log."""

    def __init__(self, door: Door, settings: LogDoorSettings, kafka: Kafka) -> None:
        self._door = door
        self._settings = settings
        self._kafka = kafka
        self._instance = settings.instance or f"log-door-{socket.gethostname()}-{os.getpid()}"
        self._known = Submissions(door.line)

    async def serve(self, ready: Callable[[], None], stop: asyncio.Event) -> None:
        """Says once that it is `ready`, and returns some time after `stop` is set; raises what ends a pipeline."""
        door, open_at_once = self._door, self._settings.open
        results = Results(door.producer, door.objects, ExpiringObjects(door.line, door.objects))
        acceptor = Acceptor(door, self._known, results, self._settings.patience_s)
        self._answerer = Answerer(door, self._known, results)
        async with AsyncExitStack() as stack:
            replies = await self._consumer(stack, REPLIES)
            submissions = await self._consumer(stack, SUBMISSIONS)
            pipelines = [
                Pipeline(replies, self._answerer.answer, open_at_once),
                Pipeline(submissions, acceptor.accept, open_at_once, self._committed),
            ]
            ready()
            log.info("log_door_ready", extra={"instance": self._instance})
            await self._run(pipelines, stop)

    async def _consumer(self, stack: AsyncExitStack, topic: str) -> LaneConsumer:
        consumer = LaneConsumer(self._kafka, topic, f"{GROUP}.{topic}", f"{self._instance}.{topic}")
        await consumer.open()
        stack.push_async_callback(consumer.close)
        return consumer

    async def _run(self, pipelines: Sequence[Pipeline], stop: asyncio.Event) -> None:
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(step()) for p in pipelines for step in (p.run, p.commit)]
        tasks += [asyncio.create_task(self._look_after()), asyncio.create_task(stop.wait())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks[: 2 * len(pipelines) : 2]:
                task.cancel()
            await asyncio.gather(*[pipeline.drain(self._door.settings.drain_s) for pipeline in pipelines])
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()

    async def _committed(self, positions: dict[int, int]) -> None:
        try:
            await asyncio.gather(*[self._known.committed(SUBMISSIONS, p, at) for p, at in positions.items()])
        except Undecidable as failure:
            # The next commit of the partition forgets these too.
            log.debug("log_door_waits", extra={"reason": failure.message})

    async def _look_after(self) -> None:
        """Ends what is overdue, for ever; also what other processes left behind."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                for job_id in await self._known.take_overdue():
                    await self._answerer.look_at(job_id)
            except Undecidable as failure:
                log.debug("log_door_waits", extra={"reason": failure.message})
            except Exception:
                # One job that cannot be ended must not keep the others from it.
                log.exception("overdue_failed")


async def _main(storage: StorageSettings, observe: ObserveSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = read_settings(LogDoorSettings)
    async with Door(storage, read_settings(IngressSettings), observe, linger_ms=LINGER_MS) as door:
        with exposed(observe, lambda: door.ready):
            await LogDoor(door, settings, storage.cluster).serve(started, stop)


def main() -> int:
    kinds: list[type[BaseSettings]] = [StorageSettings, IngressSettings, LogDoorSettings, ObserveSettings]
    parser("python -m ingress.log_door", __doc__, kinds).parse_args()
    configure("log-door", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("log-door", observe)
        uvloop.run(_main(read_settings(StorageSettings), observe))
    except (CatalogError, InvalidValue, Undecidable) as failure:
        log.critical("log_door_stopped", extra={"reason": str(failure)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
