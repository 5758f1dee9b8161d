"""The streams process: `python -m streams`."""

import asyncio
import logging
import os
import signal
import sys

from storage.heap import freeze_heap
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import notify_ready
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from streams.app import run
from streams.settings import StreamsSettings

log = logging.getLogger("streams")


class Readiness:
    """Becomes true with the first assignment of partitions, and tells whoever started the process."""

    def __init__(self) -> None:
        self.is_ready = False

    def mark(self) -> None:
        if not self.is_ready:
            self.is_ready = True
            log.info("ready")
            freeze_heap()
            notify_ready()


async def _serve(storage: StorageSettings, streams: StreamsSettings, observe: ObserveSettings) -> None:
    readiness = Readiness()
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with exposed(observe, lambda: readiness.is_ready):
        await run(storage, streams, readiness.mark)


def main() -> None:
    parser("python -m streams", __doc__, [StorageSettings, StreamsSettings, ObserveSettings]).parse_args()
    observe = ObserveSettings()
    configure("streams", observe)
    code = 0
    try:
        asyncio.run(_serve(StorageSettings(), StreamsSettings(), observe))
    except asyncio.CancelledError:
        log.info("stopped")
    except ExceptionGroup as failures:
        log.exception("failed", extra={"reason": repr(failures.exceptions[0])})
        code = 1
    except Exception as failure:
        log.exception("failed", extra={"reason": repr(failure)})
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    # A thread of Faust's that hangs, which may be why this process ends, would keep the interpreter from ending.
    os._exit(code)


if __name__ == "__main__":
    main()
