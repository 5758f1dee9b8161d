"""Who waits for an async job to change hears of it from the one subscription of the process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from storage.async_record import JobName


class Changes:
    """Wakes those who watch a job; hand `heard` to a Subscription for storage.async_jobs.CHANGES, and `gap` to it too.

    What a change is, the record says: read it again. One who begins to watch before reading misses none.
    """

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def heard(self, payload: bytes) -> None:
        for watcher in self._watchers.get(payload.decode(errors="replace"), ()):
            watcher.set()

    def gap(self) -> None:
        """Changes may have gone unheard."""
        for watchers in self._watchers.values():
            for watcher in watchers:
                watcher.set()

    @contextmanager
    def watch(self, name: JobName) -> Iterator["Watch"]:
        changed = asyncio.Event()
        self._watchers[name.member].add(changed)
        try:
            yield Watch(changed)
        finally:
            self._watchers[name.member].discard(changed)
            if not self._watchers[name.member]:
                del self._watchers[name.member]


class Watch:
    """One job, watched."""

    def __init__(self, changed: asyncio.Event) -> None:
        self._changed = changed

    async def changed(self, within_s: float) -> bool:
        """Waits for a change since the last call, or since the watch began; False when there was none in time."""
        try:
            async with asyncio.timeout(within_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        self._changed.clear()
        return True
