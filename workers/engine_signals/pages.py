"""Where a row's engine tells its metrics, and the reading of it."""

import asyncio
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from schemas.catalog import Model
from workers.engine_signals.reading import Reading, read, together

LOOK_TIMEOUT_S: Final = 2.0
PAGE_BYTES: Final = 16 * 1024 * 1024
"""Ray's page has everything of a node; vLLM's own is a hundredth of this."""


def pages_of(model: Model) -> tuple[str, ...]:
    """The pages of every address: those that the row or its pool names, or vLLM's own, which stands beside `/v1`."""
    if model.metrics:
        return tuple(dict.fromkeys(str(page) for pages in model.metrics for page in pages))
    if model.engine != "vllm":
        return ()
    return tuple(_beside_v1(str(address)) for address in model.addresses)


class Pages:
    """A row's pages over one pool of connections; `reason` says why a look saw nothing."""

    def __init__(self, model: Model) -> None:
        self._named = model.upstream_name
        self._urls = pages_of(model)
        self._session: aiohttp.ClientSession | None = None
        self.reason = "the row names no page of metrics"

    async def look(self) -> Reading | None:
        """How the engine stands, over all pages that tell; None where none does."""
        found = await asyncio.gather(*[self._look_at(url) for url in self._urls])
        return together(reading for reading in found if reading is not None)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _look_at(self, url: str) -> Reading | None:
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S), self._opened().get(url, allow_redirects=False) as response:
                if response.status != 200:
                    self.reason = f"{url} answered {response.status}"
                    return None
                page = await response.content.read(PAGE_BYTES)
                while not response.content.at_eof() and len(page) < PAGE_BYTES:
                    page += await response.content.read(PAGE_BYTES)
            reading = read(page, self._named)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as failure:
            self.reason = f"{url}: {failure!r}"
            return None
        if reading is None:
            self.reason = f"{url} tells nothing of a model '{self._named}'"
        return reading

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(headers={"User-Agent": "penstock"}, trust_env=False)
        return self._session


def _beside_v1(address: str) -> str:
    parts = urlsplit(address)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/").removesuffix("/v1") + "/metrics", query=""))
