"""An upstream over HTTP that answers one POST with one stream of events: what every remote engine has in common."""

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol, TypeVar

import aiohttp
from yarl import URL

from schemas.catalog import Model
from schemas.errors import EngineFailed, EngineUnavailable, PenstockError, StreamCut
from workers.engines import openai_errors, setup
from workers.engines.silence import SilenceWatch

KEEP_ALIVE_S: Final = 60
"""A TLS handshake to a far provider costs more than an idle socket; an upstream that closes earlier is noticed."""

LINGER_S: Final = 1.0
"""After the last event the end of the response follows at once, and the connection is used again; or it is closed."""

AT_ONCE_BYTES: Final = 512 * 1024
"""A larger body is written piece by piece, so that others get their turn; aiohttp warns from 1 MB on."""

ERROR_BODY_BYTES: Final = 64 * 1024
ERROR_BODY_S: Final = 5.0
ANSWER_BYTES: Final = 16 * 1024 * 1024
"""Of an answer that is no stream; vLLM gives every token of a prompt back beside their count."""


Gives = TypeVar("Gives")
Gives_co = TypeVar("Gives_co", covariant=True)


class Fold(Protocol[Gives_co]):
    """A dialect's stream, from bytes to what its engine gives.

    `heard` once there was an event, `finished` once every choice has its Finish, `done` once nothing more will come.
    What went wrong stands in `failure`, to be raised after the deltas that came before it.
    """

    heard: bool
    done: bool
    failure: PenstockError | None

    @property
    def finished(self) -> bool: ...

    def feed(self, data: bytes) -> Sequence[Gives_co]: ...

    def end(self) -> Sequence[Gives_co]: ...

    def cut(self, how: str) -> StreamCut: ...


class Answer(NamedTuple):
    """What an upstream is expected to stream: as HTTP asks for it and calls it, and `name` in an error.

    `delimited`: whether its end must be told by its length or its last chunk, so that a cut can be told from an end.
    """

    accept: str
    kinds: tuple[str, ...]
    name: str
    delimited: bool = False


EVENTS: Final = Answer("text/event-stream", ("text/event-stream", "text/plain"), "events")


class Refused(Protocol):
    """What a dialect's refusal means: `status` and body of an answer that is no stream."""

    def __call__(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError: ...


class Upstream:
    """One row's address over one pool of connections. `headers` go with every request.

    `path` comes after the address, or, `above_v1`, in place of its last `/v1`.
    """

    def __init__(
        self,
        model: Model,
        path: str,
        headers: Mapping[str, str],
        refused: Refused,
        *,
        above_v1: bool = False,
        expected: Answer = EVENTS,
    ) -> None:
        self._model = model.id
        self._expected = expected
        self._url = _url(model, path, above_v1)
        self._timeouts = model.timeouts
        self._headers = {
            "Accept": expected.accept,
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "User-Agent": "penstock",
            **headers,
        }
        self._refused = refused
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._responses: set[aiohttp.ClientResponse] = set()

    async def stream(
        self, job_id: str, data: bytes, fold: Fold[Gives], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Sequence[Gives], None]:
        """Posts `data` and yields what `fold` makes of the answer; closing this closes the connection.

        `headers` are this request's own. Raises what the refusal means, EngineUnavailable and EngineFailed, and the
        fold's failure.
        """
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        response = await self._ask(data, {**(headers or {}), "X-Request-ID": job_id})
        self._responses.add(response)
        watch = SilenceWatch(loop, response.close)
        try:
            await self._refuse_what_is_no_stream(response)
            read = response.content.readany
            limit_s = max(0.001, self._timeouts.first_chunk_s - (loop.time() - asked_at))
            while not fold.done:
                watch.within(limit_s)
                try:
                    piece = await read()
                except (aiohttp.ClientError, OSError) as exc:
                    # The answer is whole; only its usage, or the end of the connection, did not come.
                    if fold.finished:
                        break
                    raise self._broken(watch, fold) from exc
                watch.rest()
                deltas = fold.feed(piece) if piece else fold.end()
                if deltas:
                    yield deltas
                if fold.failure is not None:
                    raise fold.failure
                if fold.heard:
                    limit_s = self._timeouts.silence_s
        finally:
            watch.stop()
            if fold.done and not response.closed:
                loop.call_later(LINGER_S, self._let_go, response)
            else:
                self._let_go(response)

    async def answer(
        self, data: bytes, headers: Mapping[str, str] | None = None, *, most_bytes: int = ANSWER_BYTES
    ) -> bytes:
        """Posts `data` and returns the body of an answer that is no stream, cut at `most_bytes`. Raises as `stream`."""
        response = await self._ask(data, {**(headers or {}), "Accept": "application/json"})
        try:
            async with asyncio.timeout(self._timeouts.first_chunk_s):
                body = await _beginning(response, most_bytes)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' did not answer in time.") from exc
        finally:
            response.close()
        if response.status != 200:
            wait_s = openai_errors.retry_after_s(response.headers, datetime.now(UTC))
            raise self._refused(response.status, body, wait_s)
        return body

    async def close(self) -> None:
        while self._responses:
            self._responses.pop().close()
        for session in (self._kept, self._fresh):
            if session is not None:
                await session.close()

    def _let_go(self, response: aiohttp.ClientResponse) -> None:
        self._responses.discard(response)
        response.close()

    def _open(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            headers=self._headers,
            skip_auto_headers=("Accept-Encoding", "Accept", "User-Agent", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s),
            auto_decompress=False,
            trust_env=False,
        )

    async def _ask(self, data: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self._timeouts.first_chunk_s):
                try:
                    return await self._post(data, headers)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # An upstream may close a kept connection just as it is used again; llama.cpp's server does so
                    # after every stream (2026-11). Nothing was answered, so the same request goes out once more.
                    return await self._post(data, headers, kept=False)
        except TimeoutError as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' did not answer in time.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' could not be reached.") from exc

    async def _post(self, data: bytes, headers: Mapping[str, str], *, kept: bool = True) -> aiohttp.ClientResponse:
        # Slots are the worker's business; aiohttp's own cap of 100 connections would be a silent second one.
        if kept:
            session = self._kept or self._open(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S))
            self._kept = session
        else:
            session = self._fresh or self._open(aiohttp.TCPConnector(limit=0, force_close=True))
            self._fresh = session
        body = data if len(data) <= AT_ONCE_BYTES else io.BytesIO(data)
        return await session.post(self._url, data=body, headers=headers, allow_redirects=False)

    async def _refuse_what_is_no_stream(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            expected, headers = self._expected, response.headers
            kind = headers.get("Content-Type", expected.accept)
            if not kind.lower().startswith(expected.kinds):
                what = f"{kind[:80]}, not with {expected.name}"
                raise EngineFailed(f"The engine of model '{self._model}' answered with {what}.")
            if expected.delimited and "Content-Length" not in headers and "Transfer-Encoding" not in headers:
                raise EngineFailed(f"The engine of model '{self._model}' does not tell where its answer ends.")
            return
        body = await _error_body(response)
        raise self._refused(response.status, body, openai_errors.retry_after_s(response.headers, datetime.now(UTC)))

    def _broken(self, watch: SilenceWatch, fold: Fold[Gives]) -> PenstockError:
        if watch.expired:
            return EngineUnavailable(f"The engine of model '{self._model}' was silent for too long.")
        if fold.heard:
            return fold.cut("lost its connection")
        return EngineUnavailable(f"The engine of model '{self._model}' closed the connection before it answered.")


def checked_headers(model: Model, headers: Mapping[str, str]) -> Mapping[str, str]:
    """A row's own headers. Raises SetupError where one could not be sent."""
    for name, value in headers.items():
        if not (name.isascii() and name.isprintable() and value.isprintable()) or " " in name or ":" in name:
            raise setup.SetupError(f"model '{model.id}': engine_options: header '{name}' is not a header")
    return headers


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a refusal's body; what cannot be read in time is left, the status says enough."""
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_BODY_S):
            return await _beginning(response, ERROR_BODY_BYTES)
    return b""


async def _beginning(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    body = bytearray()
    while len(body) < most_bytes and (data := await response.content.readany()):
        body += data
    return bytes(body)


def _url(model: Model, path: str, above_v1: bool) -> URL:
    url = URL(str(model.base_url))
    if url.user is not None or url.password is not None:
        raise setup.SetupError(f"model '{model.id}': base_url holds a name or password; use api_key_env for secrets")
    base = url.raw_path.rstrip("/")
    return url.with_path((base.removesuffix("/v1") if above_v1 else base) + path, encoded=True, keep_query=True)
