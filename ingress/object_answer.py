"""An object as an HTTP answer: whole or a range of it, as it comes from storage, never held whole."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ingress import metrics
from ingress.dialect import dialect_of
from ingress.door import Door
from ingress.ranges import NotSatisfiable, Span, asked_range
from schemas.errors import NotFound, RangeNotSatisfiable, Undecidable
from storage.content_types import disposition
from storage.objects import ObjectHead

SAFE_HEADERS: Final = {
    "cache-control": "private",
    "content-security-policy": "default-src 'none'; sandbox",
    "x-content-type-options": "nosniff",
}
"""What models made is shown by browsers as what its type says, or not at all, and runs nothing at our address."""

UNREADABLE: Final = "The file cannot be read at the moment."

log = logging.getLogger(__name__)


async def object_answer(request: Request, key: str, *, file_name: str | None = None) -> Response:
    """Answers GET with 200, or a range of it with 206 or 416, and HEAD with the head of the whole.

    Whoever calls has made sure that the object is the caller's. Raises NotFound, or Undecidable when the storage is
    out of reach.
    """
    door: Door = request.app.state.door
    try:
        head = await door.objects.head(key)
    except FileNotFoundError:
        raise NotFound("There is no such file.") from None
    except OSError as failure:
        raise Undecidable(UNREADABLE, retry_after_s=5) from failure
    headers = {
        **SAFE_HEADERS,
        "accept-ranges": "bytes",
        "content-disposition": disposition(file_name),
        "content-type": head.content_type,
        "etag": head.etag,
    }
    try:
        span = _span(request, head)
    except NotSatisfiable:
        return _not_satisfiable(request, head)
    if span is not None:
        headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{head.size_bytes}"
    status, (start, end) = (200, (0, head.size_bytes)) if span is None else (206, span)
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return _Streamed(door.objects.read(key, start, end), status, headers, door.settings.stall_s)


def _span(request: Request, head: ObjectHead) -> Span | None:
    if request.method != "GET":
        # RFC 9110, 14.2: no other method has ranges, and one that is asked for must be ignored.
        return None
    # With If-Range, a client that has the beginning of another version gets all of this one.
    if request.headers.get("if-range", head.etag) != head.etag:
        return None
    return asked_range(request.headers.get("range"), head.size_bytes)


def _not_satisfiable(request: Request, head: ObjectHead) -> Response:
    error = RangeNotSatisfiable(f"The file has {head.size_bytes} bytes.")
    metrics.ERRORS.labels(error.code).inc()
    status, headers, body = dialect_of(request.scope["path"]).error(error, request.state.request_id)
    return Response(body, status, {**headers, "content-range": f"bytes */{head.size_bytes}"})


class _Streamed(Response):
    """Cut, which its length betrays, where the storage fails in the middle or the client reads nothing for long."""

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], status: int, headers: dict[str, str], stall_s: float
    ) -> None:
        super().__init__(status_code=status, headers=headers)
        self._pieces = pieces
        self._stall_s = stall_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        try:
            async with aclosing(self._pieces):
                await self._send(send, gone)
        finally:
            gone.cancel()

    async def _send(self, send: Send, gone: "asyncio.Task[None]") -> None:
        try:
            piece = await anext(self._pieces, b"")
        except FileNotFoundError:
            raise NotFound("There is no such file.") from None
        except OSError as failure:
            raise Undecidable(UNREADABLE, retry_after_s=5) from failure
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        while piece:
            if not await self._sent(send, piece):
                metrics.STALLS.inc()
                return
            if gone.done():
                metrics.DISCONNECTS.inc()
                return
            try:
                piece = await anext(self._pieces, b"")
            except OSError as failure:
                log.warning("object_cut", extra={"reason": str(failure)})
                return
        await send({"type": "http.response.body", "body": b""})

    async def _sent(self, send: Send, piece: bytes) -> bool:
        try:
            async with asyncio.timeout(self._stall_s):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except TimeoutError:
            return False
        return True


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
