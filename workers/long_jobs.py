"""The dispatcher and the worker of its steps in one process, for a small machine: `python -m workers.long_jobs`."""

import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence

import uvloop

from schemas.errors import InvalidValue, Undecidable
from storage.catalog import CatalogError
from storage.observe.logging import configure
from storage.ready import started
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings
from workers import dispatch, jobs_worker
from workers.engines.setup import SetupError
from workers.long.settings import LongSettings
from workers.webhooks.settings import WebhookSettings

log = logging.getLogger("workers.dispatch")


class DispatcherThread:
    """A dispatcher with an event loop of its own: Celery's worker wants the main thread, for its signals."""

    def __init__(self, storage: StorageSettings, observe: ObserveSettings, lanes: Sequence[str]) -> None:
        self._storage = storage
        self._observe = observe
        self._lanes = lanes
        self._settings, self._webhooks = read_settings(LongSettings), read_settings(WebhookSettings)
        self._ready, self._ended = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._stop = asyncio.Event()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="dispatcher")

    def start(self) -> None:
        """Returns when it dispatches. Raises what keeps it from that."""
        self._thread.start()
        self._ready.wait()
        self._raise()

    def stop(self) -> None:
        """Returns when it has ended. Raises what it ended of."""
        if not self._ended.is_set():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._raise()

    def _run(self) -> None:
        work = dispatch.serve(
            self._storage,
            self._settings,
            self._webhooks,
            self._observe,
            self._lanes,
            ready=self._ready.set,
            stop=self._stop,
        )
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(work)
        except BaseException as failure:
            self._failure = failure
        began = self._ready.is_set()
        self._ended.set()
        self._ready.set()
        if began and self._failure is not None:
            # The steps' worker hears it, in the main thread, as it would hear an operator.
            os.kill(os.getpid(), signal.SIGTERM)

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


def serve(storage: StorageSettings, observe: ObserveSettings, lanes: Sequence[str]) -> int:
    """Dispatches these lanes' jobs and does their steps, until either is told to stop or fails."""
    dispatcher = DispatcherThread(storage, observe, lanes)
    dispatcher.start()
    try:
        # One exposition is enough for one process: the dispatcher has it.
        alone = observe.model_copy(update={"metrics_port": 0})
        return jobs_worker.serve(storage, read_settings(LongSettings), alone, started)
    finally:
        dispatcher.stop()


def main() -> int:
    words = parser(
        "python -m workers.long_jobs", __doc__, [StorageSettings, LongSettings, WebhookSettings, ObserveSettings]
    )
    words.add_argument("--lane", action="append", required=True, help="lane to dispatch, as in video.default")
    lanes = list(dict.fromkeys(words.parse_args().lane))
    configure("long-jobs", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("long-jobs", observe)
        return serve(read_settings(StorageSettings), observe, lanes)
    except (CatalogError, InvalidValue, SetupError, Undecidable) as failure:
        log.error("long_jobs_stopped", extra={"reason": str(failure)})  # noqa: TRY400 - one line, its reason is all
        return 1


if __name__ == "__main__":
    sys.exit(main())
