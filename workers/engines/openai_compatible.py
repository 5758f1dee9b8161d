"""Any upstream that speaks OpenAI's chat completions: vLLM, Ray Serve, OpenAI, another Penstock."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final, Literal

import aiohttp
import msgspec
from yarl import URL

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.errors import EngineFailed, EngineUnavailable, PenstockError
from workers.engines import openai_errors, openai_request, setup
from workers.engines.openai_stream import ChatStream
from workers.engines.silence import SilenceWatch

KEEP_ALIVE_S: Final = 60
"""A TLS handshake to a far provider costs more than an idle socket; an upstream that closes earlier is noticed."""

LINGER_S: Final = 1.0
"""After `[DONE]` the end of the response follows at once, and the connection is used again; or it is closed."""

ERROR_BODY_BYTES: Final = 64 * 1024
ERROR_BODY_S: Final = 5.0


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row."""

    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    developer_role: Literal["system", "developer"] = "system"
    continuous_usage: bool = False
    headers: dict[str, str] = {}


class OpenAICompatible:
    """One row's upstream over one pool of connections."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._url = _chat_url(model)
        self._timeouts = model.timeouts
        self._headers = _headers(model, options, secret)
        self._shape = openai_request.Shape(
            model.upstream_name, options.max_tokens_field, options.developer_role, options.continuous_usage
        )
        self._kept: aiohttp.ClientSession | None = None
        self._fresh: aiohttp.ClientSession | None = None
        self._responses: set[aiohttp.ClientResponse] = set()

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        response = await self._ask(job_id, chat)
        self._responses.add(response)
        fold = ChatStream(self._model, chat.sampling.choices, self._secret)
        watch = SilenceWatch(loop, response.close)
        try:
            await self._refuse_what_is_no_stream(response)
            read = response.content.readany
            limit_s = max(0.001, self._timeouts.first_chunk_s - (loop.time() - asked_at))
            while not fold.done:
                watch.within(limit_s)
                try:
                    data = await read()
                except (aiohttp.ClientError, OSError) as exc:
                    # The answer is whole; only its usage, or the end of the connection, did not come.
                    if fold.finished:
                        break
                    raise self._broken(watch, fold) from exc
                watch.rest()
                deltas = fold.feed(data) if data else fold.end()
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

    async def _ask(self, job_id: str, chat: Chat) -> aiohttp.ClientResponse:
        data = openai_request.encode(openai_request.body(self._shape, chat))
        try:
            async with asyncio.timeout(self._timeouts.first_chunk_s):
                try:
                    return await self._post(job_id, data)
                except aiohttp.ClientConnectorError:
                    raise
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
                    # An upstream may close a kept connection just as it is used again; llama.cpp's server does so
                    # after every stream (2026-11). Nothing was answered, so the same request goes out once more.
                    return await self._post(job_id, data, kept=False)
        except TimeoutError as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' did not answer in time.") from exc
        except (aiohttp.ClientError, OSError) as exc:
            raise EngineUnavailable(f"The engine of model '{self._model}' could not be reached.") from exc

    async def _post(self, job_id: str, data: bytes, *, kept: bool = True) -> aiohttp.ClientResponse:
        # Slots are the worker's business; aiohttp's own cap of 100 connections would be a silent second one.
        if kept:
            session = self._kept or self._open(aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S))
            self._kept = session
        else:
            session = self._fresh or self._open(aiohttp.TCPConnector(limit=0, force_close=True))
            self._fresh = session
        return await session.post(self._url, data=data, headers={"X-Request-ID": job_id}, allow_redirects=False)

    async def _refuse_what_is_no_stream(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 200:
            kind = response.headers.get("Content-Type", "text/event-stream")
            if not kind.startswith(("text/event-stream", "text/plain")):
                raise EngineFailed(f"The engine of model '{self._model}' answered with {kind[:80]}, not with events.")
            return
        refusal = openai_errors.of_body(await _error_body(response))
        raise openai_errors.to_error(
            self._model,
            response.status,
            refusal,
            secret=self._secret,
            retry_after_s=openai_errors.retry_after_s(response.headers, datetime.now(UTC)),
        )

    def _broken(self, watch: SilenceWatch, fold: ChatStream) -> PenstockError:
        if watch.expired:
            return EngineUnavailable(f"The engine of model '{self._model}' was silent for too long.")
        if fold.heard:
            return fold.cut("lost its connection")
        return EngineUnavailable(f"The engine of model '{self._model}' closed the connection before it answered.")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a refusal's body; what cannot be read in time is left, the status says enough."""
    body = bytearray()
    with suppress(aiohttp.ClientError, OSError):
        async with asyncio.timeout(ERROR_BODY_S):
            while len(body) < ERROR_BODY_BYTES and (data := await response.content.readany()):
                body += data
    return bytes(body)


def _chat_url(model: Model) -> URL:
    url = URL(str(model.base_url))
    if url.user is not None or url.password is not None:
        raise setup.SetupError(f"model '{model.id}': base_url holds a name or password; use api_key_env for secrets")
    return url.with_path(url.raw_path.rstrip("/") + "/chat/completions", encoded=True, keep_query=True)


def _headers(model: Model, options: Options, secret: str | None) -> dict[str, str]:
    for name, value in options.headers.items():
        if not (name.isascii() and name.isprintable() and value.isprintable()) or " " in name or ":" in name:
            raise setup.SetupError(f"model '{model.id}': engine_options: header '{name}' is not a header")
    headers = {
        "Accept": "text/event-stream",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": "penstock",
    }
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret}"
    return headers | options.headers
