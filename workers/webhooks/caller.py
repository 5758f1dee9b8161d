"""One call of a webhook: to a public address only, without redirects, and no matter how the receiver behaves."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import aiohttp

from schemas.addresses import Network
from schemas.errors import InvalidRequest
from workers.fetch import CheckedResolver, Fetcher

CONNECT_S: Final = 5.0
MOST_ANSWER_BYTES: Final = 4096
"""Read of an answer, so that the receiver is not cut off in the middle of a usual one; nobody looks at it."""

GONE: Final = 410


class NotHeard(Exception):
    """The receiver did not take it; `final` where it wants to hear no more."""

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Caller:
    """Opens nothing before it first calls; `close` ends it."""

    def __init__(self, allowed: Sequence[Network], *, http: bool, limit_s: float) -> None:
        self._allowed = tuple(allowed)
        self._check = Fetcher(allowed, http=http).check
        self.limit_s = limit_s
        self._session: aiohttp.ClientSession | None = None

    async def call(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Raises NotHeard unless the receiver answers with 2xx."""
        session = self._session = self._session or self._open()
        try:
            target = self._check(url)
            async with (
                asyncio.timeout(self.limit_s),
                session.post(target, data=body, headers=headers, allow_redirects=False) as response,
            ):
                status = response.status
                await response.content.read(MOST_ANSWER_BYTES)
        except TimeoutError as exc:
            raise NotHeard(f"no answer within {self.limit_s:g} s") from exc
        except InvalidRequest as exc:
            raise NotHeard("it leads to an address that may not be called") from exc
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            raise NotHeard(f"it could not be called: {type(exc).__name__}") from exc
        if not 200 <= status < 300:
            raise NotHeard(f"it answered {status}", final=status == GONE)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=CheckedResolver(self._allowed), use_dns_cache=False, force_close=True, limit=0
            ),
            headers={"Content-Type": "application/json", "User-Agent": "penstock"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=False,
        )
