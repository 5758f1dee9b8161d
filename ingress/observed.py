"""Around every request: its id, its count, its line in the log, and an answer where the platform itself fails."""

import logging
import os
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress.dialect import dialect_of
from ingress.metrics import ERRORS, IN_FLIGHT, REQUESTS
from schemas.errors import InternalError

log = logging.getLogger("ingress.access")

QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""What is asked every few seconds, by machines: neither in flight nor in the log."""

UNKNOWN: Final = "unknown"
GONE: Final = 499
"""What is counted when the client left before it had a status."""


class Observed:
    """Plain ASGI, since it stands in every chunk's way; gives `request_id` to the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request_id = f"req_{os.urandom(12).hex()}"
        scope.setdefault("state", {})["request_id"] = request_id
        started = time.perf_counter()
        status = 0

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).setdefault("x-request-id", request_id)
            await send(message)

        quiet = scope["path"] in QUIET
        if not quiet:
            IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, observed_send)
        except Exception:
            log.exception("request_failed", extra={"request_id": request_id})
            if status == 0:
                await _answer_bug(request_id, scope, receive, observed_send)
        finally:
            route = getattr(scope.get("route"), "path", UNKNOWN)
            REQUESTS.labels(route, status or GONE).inc()
            if not quiet:
                IN_FLIGHT.dec()
                taken_ms = round((time.perf_counter() - started) * 1000, 1)
                fields = {"request_id": request_id, "route": route, "status": status or GONE, "taken_ms": taken_ms}
                log.info("request", extra=fields)


async def _answer_bug(request_id: str, scope: Scope, receive: Receive, send: Send) -> None:
    error = InternalError("The platform failed. The request id leads to the reason.")
    ERRORS.labels(error.code).inc()
    dialect = dialect_of(scope["path"])
    status, headers, body = dialect.error(error, request_id)
    await Response(body, status, dialect.headers(headers, request_id))(scope, receive, send)
