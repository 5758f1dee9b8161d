"""Short calls to a provider that keeps jobs, and its files as streams: what engines of long work have in common."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from schemas.catalog import Model
from schemas.errors import EngineFailed, EngineUnavailable, PenstockError
from workers.byte_ranges import BEYOND, PARTIAL, asked_from, is_rest
from workers.engines import openai_errors, setup
from workers.job_engine import UncertainStart

CALL_S: Final = 45.0
"""A call is part of a step, and a step shorter than a minute."""

ANSWER_BYTES: Final = 16 * 1024 * 1024
PIECE_BYTES: Final = 256 * 1024

TOLD_OF_RANGES: Final = frozenset({200, PARTIAL, BEYOND})
"""What a server may answer that was asked for the rest of a file."""

REFUSED_AS_BUSY: Final = frozenset({503, 529})
"""What servers answer before they take a job; after any other status of theirs they may have it."""


class Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class JobCalls:
    """One row's address over one pool of connections. Errors are told without the secret."""

    def __init__(
        self,
        model: Model,
        headers: Mapping[str, str],
        secret: str | None,
        read_refusal: Callable[[bytes], openai_errors.Refusal] = openai_errors.of_body,
    ) -> None:
        self._model = model.id
        self._base = URL(str(model.base_url))
        if self._base.user is not None or self._base.password is not None:
            raise setup.SetupError(f"model '{model.id}': base_url holds a name or password; use api_key_env")
        self._timeouts = model.timeouts
        self._headers = {"User-Agent": "penstock", "Accept-Encoding": "identity", **headers}
        self._secret = secret
        self._read_refusal = read_refusal
        self._session: aiohttp.ClientSession | None = None

    def url(self, path: str, **query: str) -> URL:
        """`path` behind the row's address."""
        base = self._base.with_path(self._base.raw_path.rstrip("/") + path, encoded=True, keep_query=True)
        return base.update_query(query) if query else base

    async def create(self, url: URL, job_id: str, **body: Any) -> Answer:
        """Posts what begins a job. Raises a PenstockError where the provider has certainly not taken it.

        Everything else, a silence, a lost connection, an error of the provider's own, is UncertainStart.
        """
        try:
            answer = await self._call("POST", url, {"X-Request-ID": job_id, "Idempotency-Key": job_id}, **body)
        except aiohttp.ClientConnectorError as exc:
            raise self._unreached() from exc
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise UncertainStart(f"nothing was answered: {exc!r}") from exc
        if answer.status < 300:
            return answer
        if 400 <= answer.status < 500 or answer.status in REFUSED_AS_BUSY:
            raise self.refusal(answer)
        raise UncertainStart(f"the provider answered {answer.status}")

    async def ask(self, method: str, url: URL, **body: Any) -> Answer:
        """A call that may be made again; any answer but a 2xx is returned too. Raises EngineUnavailable."""
        try:
            return await self._call(method, url, {}, **body)
        except (TimeoutError, aiohttp.ClientError, OSError) as exc:
            raise self._unreached() from exc

    async def read(self, url: URL, most_bytes: int, start_bytes: int = 0) -> AsyncGenerator[bytes, None]:
        """A file, or what of it is behind `start_bytes`, piece by piece.

        Raises EngineUnavailable when it breaks off, EngineFailed when it is too large, OnlyWhole.
        """
        timeout = aiohttp.ClientTimeout(
            total=None, connect=self._timeouts.connect_s, sock_read=self._timeouts.silence_s
        )
        size_bytes, headers = start_bytes, asked_from(start_bytes)
        try:
            async with self._open().get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                if start_bytes and response.status in TOLD_OF_RANGES:
                    if not is_rest(response.status, response.headers, start_bytes):
                        return
                elif response.status != 200:
                    raise self.refusal(await self._answered(response))
                async for piece in response.content.iter_chunked(PIECE_BYTES):
                    size_bytes += len(piece)
                    if size_bytes > most_bytes:
                        raise EngineFailed(f"The file of model '{self._model}' is larger than {most_bytes} bytes.")
                    yield piece
        except (TimeoutError, aiohttp.ClientError) as exc:
            raise self._unreached() from exc

    def refusal(self, answer: Answer) -> PenstockError:
        return openai_errors.to_error(
            self._model,
            answer.status,
            self._read_refusal(answer.body),
            secret=self._secret,
            retry_after_s=openai_errors.retry_after_s(answer.headers, datetime.now(UTC)),
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _call(self, method: str, url: URL, headers: Mapping[str, str], **body: Any) -> Answer:
        # A kept connection that its server closes just now would make every create uncertain: each has its own.
        async with (
            asyncio.timeout(min(CALL_S, self._timeouts.first_chunk_s)),
            self._open().request(method, url, headers=headers, allow_redirects=False, **body) as response,
        ):
            return await self._answered(response)

    async def _answered(self, response: aiohttp.ClientResponse) -> Answer:
        body = bytearray()
        while len(body) < ANSWER_BYTES and (piece := await response.content.readany()):
            body += piece
        return Answer(response.status, response.headers, bytes(body))

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                headers=self._headers,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None, connect=self._timeouts.connect_s),
                trust_env=False,
            )
        return self._session

    def _unreached(self) -> EngineUnavailable:
        return EngineUnavailable(f"The engine of model '{self._model}' could not be reached or did not answer.")


def decoded(decoder: msgspec.json.Decoder[Any], model: str, answer: Answer) -> Any:
    """The answer's body. Raises EngineFailed."""
    try:
        return decoder.decode(answer.body)
    except msgspec.DecodeError as exc:
        raise EngineFailed(f"The engine of model '{model}' answered with what is no job.") from exc
