"""An accepted job's answer to an HTTP client: whole, or streamed as it comes.

Whatever happens to the connection, the submission is handed back: a client that leaves cancels its job.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingress import metrics
from ingress.dialect import OPENAI, dialect_of
from ingress.mailbox import Mailbox
from ingress.submission import Submission
from ingress.submit import Submitter
from schemas.chunks import Chunk, Ended
from schemas.errors import Cancelled, ErrorData, PenstockError
from schemas.usage import UNCOUNTED

OVERHEAD_HEADER: Final = "x-penstock-overhead-ms"

Keep = Callable[[], Awaitable[None]]

Fetch = Callable[[Sequence[Chunk]], Awaitable[None]]
"""Brings what chunks only point to, before they are folded or written. Raises PenstockError."""


class Writer(Protocol):
    """A dialect's stream: pure, and complete after every call."""

    def write(self, chunks: Sequence[Chunk]) -> bytes: ...


class Fold(Protocol):
    """A dialect's whole reply: chunks in, one body out."""

    error: ErrorData | None

    def add(self, chunks: Sequence[Chunk]) -> None: ...

    def reply(self) -> bytes: ...


class Answer(Response, ABC):
    """The ASGI response of one submission; `started` is when the request came, by time.perf_counter."""

    def __init__(self, submitter: Submitter, submission: Submission, request_id: str, started: float) -> None:
        super().__init__()
        self._submitter = submitter
        self._submission = submission
        self._mailbox = submission.mailbox
        self._request_id = request_id
        self._started = started
        self._model = submission.job.model
        self._dialect = OPENAI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._dialect = dialect_of(scope["path"])
        watch = asyncio.create_task(_until_gone(receive, self._mailbox))
        try:
            await self._answer(send)
        except Cancelled:
            metrics.DISCONNECTS.inc()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self._mailbox.stalled or task is None or task.uncancel():
                raise
            metrics.STALLS.inc()
        finally:
            watch.cancel()
            self._submitter.close(self._submission)

    @abstractmethod
    async def _answer(self, send: Send) -> None: ...

    async def _refuse(self, send: Send, error: ErrorData) -> None:
        """Answers with an error and nothing else; possible as long as nothing has been sent."""
        metrics.ERRORS.labels(error.code).inc()
        status, headers, body = self._dialect.error(error, self._request_id)
        await self._start(send, status, {**headers, "content-length": str(len(body))})
        await send({"type": "http.response.body", "body": body})

    async def _start(self, send: Send, status: int, headers: dict[str, str]) -> None:
        own = self._dialect.headers(self._submission.headers, self._request_id)
        all_headers = {**headers, **own, "x-request-id": self._request_id}
        if self._mailbox.heard:
            overhead_ms = max(0.0, (time.perf_counter() - self._started) * 1000 - self._mailbox.engine_ms)
            metrics.OVERHEAD.labels(self._model).observe(overhead_ms / 1000)
            all_headers[OVERHEAD_HEADER] = f"{overhead_ms:.2f}"
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in all_headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})


class WholeAnswer(Answer):
    """`fetch` is awaited before chunks are folded, `keep` when the reply is complete, before it is sent."""

    def __init__(
        self,
        submitter: Submitter,
        submission: Submission,
        request_id: str,
        started: float,
        fold: Fold,
        *,
        keep: Keep | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(submitter, submission, request_id, started)
        self._fold = fold
        self._keep = keep
        self._fetch = fetch

    async def _answer(self, send: Send) -> None:
        while True:
            chunks = await fetched(self._fetch, await self._mailbox.take())
            self._fold.add(chunks)
            if chunks and isinstance(chunks[-1], Ended):
                break
        if self._fold.error is not None:
            await self._refuse(send, self._fold.error)
            return
        body = self._fold.reply()
        if self._keep is not None:
            await self._keep()
        metrics.CHUNKS.labels(self._model).inc()
        await self._start(send, 200, {"content-type": "application/json", "content-length": str(len(body))})
        await send({"type": "http.response.body", "body": body})


class StreamedAnswer(Answer):
    """Holds the status back until there is a chunk, an error or a ping.

    `fetch` is awaited before chunks are written, `keep` when the last event is written, before it is sent.
    """

    def __init__(
        self,
        submitter: Submitter,
        submission: Submission,
        request_id: str,
        started: float,
        writer: Writer,
        *,
        keep: Keep | None = None,
        fetch: Fetch | None = None,
    ) -> None:
        super().__init__(submitter, submission, request_id, started)
        self._writer = writer
        self._keep = keep
        self._fetch = fetch
        self._begun = False
        self._relayed = metrics.CHUNKS.labels(submission.job.model)

    async def _answer(self, send: Send) -> None:
        chunks = await self._take()
        if chunks and isinstance(first := chunks[0], Ended) and first.error is not None:
            await self._refuse(send, first.error)
            return
        await self._start(
            send,
            200,
            {"content-type": "text/event-stream", "cache-control": "no-cache", "x-accel-buffering": "no"},
        )
        while True:
            end = chunks[-1] if chunks and isinstance(chunks[-1], Ended) else None
            self._count(chunks, end)
            body = self._writer.write(chunks) if chunks else self._dialect.ping
            if end is not None and self._keep is not None:
                await self._keep()
            await send({"type": "http.response.body", "body": body, "more_body": end is None})
            if end is not None:
                break
            chunks = await self._take()

    async def _take(self) -> Sequence[Chunk]:
        return await fetched(self._fetch, await self._mailbox.take())

    def _count(self, chunks: Sequence[Chunk], end: Ended | None) -> None:
        if chunks and not self._begun:
            self._begun = True
            metrics.FIRST_CHUNK.labels(self._model).observe(time.perf_counter() - self._started)
        if end is not None and end.error is not None:
            metrics.ERRORS.labels(end.error.code).inc()
        self._relayed.inc(len(chunks))


async def fetched(fetch: Fetch | None, chunks: Sequence[Chunk]) -> Sequence[Chunk]:
    """The chunks, once what they point to is there; where it cannot be brought, an end that says why."""
    if fetch is not None:
        try:
            await fetch(chunks)
        except PenstockError as failure:
            return [Ended("failed", UNCOUNTED, failure.data())]
    return chunks


async def _until_gone(receive: Receive, mailbox: Mailbox) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    mailbox.leave()
