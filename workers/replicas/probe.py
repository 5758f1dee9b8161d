"""Whether an address is well, asked over HTTP beside the requests."""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
from yarl import URL

from workers.replicas.replica import Replica

EVERY_S: Final = 5.0
AGAIN_S: Final = 1.0
"""Between two probes, and between two of a replica that is not well."""

LIMIT_S: Final = 5.0
"""An event loop that is busy with a thousand streams is slow to say that it is well."""

log = logging.getLogger(__name__)


class Probe:
    """One address. `health` is a path at its host.

    Without one the route is found out: vLLM's, above /v1, answers 503 once its engine is dead. Where there is none, as
    in an application of Ray Serve, the list of models says that the application is there (vLLM 0.32, Ray 2.60).
    """

    def __init__(self, base: URL, health: str | None) -> None:
        path = base.raw_path.rstrip("/")
        paths = [health] if health is not None else [path.removesuffix("/v1") + "/health", path + "/models"]
        self._routes = [base.with_path(each, encoded=True) for each in paths]
        self.reason = ""
        """Why the last probe did not find it well, for the log."""

    async def well(self, http: aiohttp.ClientSession) -> bool:
        """Who refuses because it is not told a secret is there; who knows no such route at any path is not."""
        for route in list(self._routes):
            try:
                async with http.get(route, allow_redirects=False) as response:
                    status = response.status
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                self.reason = f"{route}: {failure!r}"
                return False
            self.reason = f"{route} answered {status}"
            if status != 404:
                # The next time it is asked first.
                self._routes.remove(route)
                self._routes.insert(0, route)
                return status < 500
        return False


class Probes:
    """Asks every address of a row, from `start` to `close`; `on_out` is told of each whose probes fail."""

    def __init__(
        self,
        probed: Sequence[tuple[Replica[Any], Probe]],
        on_out: Callable[[Replica[Any]], None],
        *,
        every_s: float = EVERY_S,
        again_s: float = AGAIN_S,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._probed = probed
        self._on_out = on_out
        self._every_s = every_s
        self._again_s = again_s
        self._limit_s = limit_s
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        if not self._probed:
            return
        self._http = aiohttp.ClientSession(
            # A new connection each time: that one can be made is part of what is asked.
            connector=aiohttp.TCPConnector(force_close=True, limit=0),
            headers={"User-Agent": "penstock", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._limit_s),
            trust_env=False,
        )
        self._tasks = [asyncio.create_task(self._watch(replica, probe)) for replica, probe in self._probed]
        for task in self._tasks:
            task.add_done_callback(_tell_of_failure)

    async def close(self) -> None:
        if not self._tasks:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.close()

    async def _watch(self, replica: Replica[Any], probe: Probe) -> None:
        # Workers that start together are not to ask together for ever.
        await asyncio.sleep(random.random() * self._again_s)
        while True:
            well = await probe.well(self._http)
            replica.probed(well, probe.reason)
            if replica.unwell:
                self._on_out(replica)
            waited_s = 0.0
            while waited_s < self._every_s:
                await asyncio.sleep(self._again_s)
                waited_s += self._again_s
                if not well or replica.state != "closed":
                    break


def _tell_of_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (failure := task.exception()) is not None:
        log.critical("probe_failed", exc_info=failure)
