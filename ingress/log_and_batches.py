"""The log's door and the runner of batches in one process, for a small machine: `python -m ingress.log_and_batches`."""

import asyncio
import logging
import signal
import sys
from collections.abc import Callable

import uvloop
from pydantic_settings import BaseSettings

from ingress.batches import __main__ as batches
from ingress.batches.settings import BatchSettings
from ingress.door import Door
from ingress.log_door.__main__ import LINGER_MS, LogDoor
from ingress.log_door.settings import LogDoorSettings
from ingress.settings import IngressSettings
from schemas.errors import InvalidValue, Undecidable
from storage.catalog import CatalogError
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings

log = logging.getLogger("ingress")


def after(calls: int, then: Callable[[], None]) -> Callable[[], None]:
    """What calls `then` once it has itself been called so often."""
    left = calls

    def call() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            then()

    return call


async def serve(storage: StorageSettings, observe: ObserveSettings, stop: asyncio.Event) -> None:
    """Runs both behind one open door; whichever ends, the other is stopped, and its failure is raised."""
    log_door, own = read_settings(LogDoorSettings), read_settings(BatchSettings)
    ready = after(2, started)
    async with Door(storage, read_settings(IngressSettings), observe, linger_ms=LINGER_MS) as door:
        with exposed(observe, lambda: door.ready):
            both = [
                asyncio.create_task(LogDoor(door, log_door, storage.cluster).serve(ready, stop)),
                asyncio.create_task(batches.serve(door, storage.cluster, own, ready, stop)),
            ]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            stop.set()
            await asyncio.wait(both)
            for each in both:
                each.result()


async def _main(storage: StorageSettings, observe: ObserveSettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(storage, observe, stop)


def main() -> int:
    kinds: list[type[BaseSettings]] = [
        StorageSettings,
        IngressSettings,
        LogDoorSettings,
        BatchSettings,
        ObserveSettings,
    ]
    parser("python -m ingress.log_and_batches", __doc__, kinds).parse_args()
    configure("log-and-batches", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("log-and-batches", observe)
        uvloop.run(_main(read_settings(StorageSettings), observe))
    except (CatalogError, InvalidValue, Undecidable) as failure:
        log.critical("log_and_batches_stopped", extra={"reason": str(failure)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
