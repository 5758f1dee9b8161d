"""Around every request: its id, its count, its line in the log."""

import logging
import os
import time
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ingress.metrics import IN_FLIGHT, REQUESTS

log = logging.getLogger("ingress.access")

QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
UNKNOWN: Final = "unknown"


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

        IN_FLIGHT.inc()
        try:
            await self._app(scope, receive, observed_send)
        finally:
            IN_FLIGHT.dec()
            route = getattr(scope.get("route"), "path", UNKNOWN)
            REQUESTS.labels(route, status).inc()
            if route not in QUIET:
                taken_ms = round((time.perf_counter() - started) * 1000, 1)
                fields = {"request_id": request_id, "route": route, "status": status, "taken_ms": taken_ms}
                log.info("request", extra=fields)
