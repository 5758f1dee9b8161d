"""Fetching what a caller's URL leads to, and nothing that is not everybody's to see.

A name is looked up once, every address it has is checked, and the connection goes to one of those: what is checked is
what is asked. A redirect is a URL like the first. No proxy, no cookies, no credentials.
"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from schemas.addresses import Network, as_address, may_lead_to
from schemas.errors import BodyTooLarge, EngineUnavailable, InvalidRequest
from workers.byte_ranges import BEYOND, PARTIAL, asked_from, is_rest

MAX_REDIRECTS: Final = 3
AT_ONCE: Final = 16
"""Fetches of one worker at a time; each may hold a whole image."""

CONNECT_S: Final = 5.0
PIECE_BYTES: Final = 256 * 1024
SHOWN: Final = 200
"""Characters of a URL that an error repeats."""

REDIRECTS: Final = (301, 302, 303, 307, 308)


class NotServed(InvalidRequest):
    """The server that a URL leads to answered with something else than the file; `passes` if it may not always."""

    def __init__(self, message: str, *, param: str | None = None, passes: bool = False) -> None:
        super().__init__(message, param=param)
        self.passes = passes


class Fetcher:
    """Opens nothing before it is first asked; `close` ends it."""

    def __init__(self, allowed: Sequence[Network] = (), *, http: bool = False, limit_s: float = 15.0) -> None:
        self._allowed = tuple(allowed)
        self._schemes = ("https", "http") if http else ("https",)
        self._limit_s = limit_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, most_bytes: int) -> bytes:
        """The body that the URL leads to. Raises InvalidRequest, or BodyTooLarge, in words for the caller."""
        shown = url if len(url) <= SHOWN else url[:SHOWN] + "…"
        async with self._turns:
            try:
                async with asyncio.timeout(self._limit_s), self._found(url, shown) as response:
                    return await _body(response, shown, most_bytes)
            except TimeoutError as exc:
                raise InvalidRequest(f"'{shown}' could not be fetched within {self._limit_s:g} s.") from exc
            except (aiohttp.ClientError, OSError, ValueError) as exc:
                raise InvalidRequest(f"'{shown}' could not be fetched.") from exc

    async def read(self, url: str, most_bytes: int, start_bytes: int = 0) -> AsyncGenerator[bytes, None]:
        """The body piece by piece, however long it takes as long as some of it comes within the limit. Raises as `get`.

        With `start_bytes` it is what is behind those, or OnlyWhole is raised. What breaks off, or whose server is busy,
        raises EngineUnavailable: it may be asked for again.
        """
        shown = url if len(url) <= SHOWN else url[:SHOWN] + "…"
        size_bytes = start_bytes
        try:
            async with self._found(url, shown, start_bytes) as response:
                if start_bytes and not is_rest(response.status, response.headers, start_bytes):
                    return
                pieces = response.content.iter_chunked(PIECE_BYTES)
                while True:
                    async with asyncio.timeout(self._limit_s):
                        piece = await anext(pieces, b"")
                    if not piece:
                        return
                    size_bytes += len(piece)
                    if size_bytes > most_bytes:
                        raise BodyTooLarge(f"What '{shown}' leads to is larger than {most_bytes} bytes.")
                    yield piece
        except NotServed as refused:
            if refused.passes:
                raise EngineUnavailable(refused.message) from refused
            raise
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as exc:
            raise EngineUnavailable(f"'{shown}' could not be fetched, or not to its end.") from exc

    def check(self, url: str) -> URL:
        """The URL, if it may be asked as far as it tells by itself. Raises InvalidRequest."""
        shown = url if len(url) <= SHOWN else url[:SHOWN] + "…"
        try:
            target = URL(url)
        except ValueError as exc:
            raise InvalidRequest(f"'{shown}' is not a URL.") from exc
        if target.scheme not in self._schemes or not target.host:
            raise InvalidRequest(f"'{shown}' should begin with {' or '.join(f'{name}://' for name in self._schemes)}.")
        if target.user is not None or target.password is not None:
            raise InvalidRequest(f"'{shown}' holds a name or password, which is sent to nobody.")
        address = as_address(target.host)
        if address is not None and not may_lead_to(address, self._allowed):
            raise _private(target.host)
        return target

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    @asynccontextmanager
    async def _found(self, url: str, shown: str, start_bytes: int = 0) -> AsyncGenerator[aiohttp.ClientResponse, None]:
        session = self._session = self._session or self._open()
        for _ in range(MAX_REDIRECTS + 1):
            target = self.check(url)
            async with session.get(target, headers=asked_from(start_bytes), allow_redirects=False) as response:
                location = response.headers.get("Location")
                if response.status in REDIRECTS and location is not None:
                    url = str(target.join(URL(location)))
                    continue
                if response.status != 200 and not (start_bytes and response.status in (PARTIAL, BEYOND)):
                    words = f"'{shown}' could not be fetched: its server answered {response.status}."
                    raise NotServed(words, passes=response.status == 429 or response.status >= 500)
                yield response
                return
        raise InvalidRequest(f"'{shown}' could not be fetched: it is redirected more than {MAX_REDIRECTS} times.")

    def _open(self) -> aiohttp.ClientSession:
        resolver = CheckedResolver(self._allowed)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True, limit=0),
            headers={"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "penstock"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=CONNECT_S),
            auto_decompress=False,
            trust_env=False,
        )


class CheckedResolver(AbstractResolver):
    """Looks names up and gives their addresses if each of them may be led to."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, family=family)
        results: list[ResolveResult] = []
        for kind, _, proto, _, place in found:
            address = as_address(str(place[0]))
            if address is None or not may_lead_to(address, self._allowed):
                raise _private(host)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=kind,
                    proto=proto,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        return results

    async def close(self) -> None:
        pass


def _private(host: str) -> InvalidRequest:
    return InvalidRequest(f"'{host[:SHOWN]}' leads to an address that is not on the public Internet.")


async def _body(response: aiohttp.ClientResponse, shown: str, most_bytes: int) -> bytes:
    too_large = BodyTooLarge(f"What '{shown}' leads to is larger than {most_bytes} bytes. Send a smaller one.")
    if (response.content_length or 0) > most_bytes:
        raise too_large
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > most_bytes:
            raise too_large
    return bytes(body)
