"""The HTTP app: routes, what stands around them, and how errors are answered."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from ingress.description import describe
from ingress.dialect import dialect_of
from ingress.door import Door
from ingress.idempotent import Idempotent
from ingress.limits import LimitReached
from ingress.metrics import ERRORS
from ingress.observed import Observed
from ingress.routes import (
    async_invoke,
    batches,
    chat,
    completions,
    embeddings,
    fal_webhooks,
    files,
    health,
    images,
    messages,
    models,
    objects,
    responses,
    speech,
    usage,
    videos,
)
from schemas.errors import ErrorData, InvalidRequest, InvalidValue, PenstockError

CODES: Final[Mapping[int, str]] = {404: "not_found", 405: "method_not_allowed", 408: "request_timeout"}
"""What the framework's own refusals are called."""

LONGEST_PATH: Final = 200
"""Characters of a path that an error repeats."""

EXPOSED_HEADERS: Final = (
    "accept-ranges",
    "content-disposition",
    "content-range",
    "etag",
    "idempotent-replayed",
    "openai-poll-after-ms",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-penstock-overhead-ms",
    "x-request-id",
    "x-should-retry",
    *(
        f"x-ratelimit-{of}-{what}"
        for of in ("limit", "remaining", "reset")
        for what in ("requests", "tokens-per-minute")
    ),
    *(f"anthropic-ratelimit-{what}-{of}" for of in ("limit", "remaining", "reset") for what in ("requests", "tokens")),
)
"""What a page from another origin may read, besides what browsers always let it."""


def create_app(door: Door) -> FastAPI:
    """The app behind an open door."""
    settings = door.settings
    app = FastAPI(title="Penstock", version="0.1.0", redirect_slashes=False)
    app.state.door = door
    for routes in (
        chat,
        completions,
        responses,
        messages,
        embeddings,
        images,
        speech,
        videos,
        async_invoke,
        fal_webhooks,
        files,
        batches,
        objects,
        models,
        usage,
        health,
    ):
        app.include_router(routes.router)
    app.add_exception_handler(PenstockError, _answer_penstock)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_middleware(Idempotent, door=door)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(Observed)
    describe(app)
    return app


def _respond(request: Request, error: ErrorData, headers: dict[str, str] | None = None) -> Response:
    ERRORS.labels(error.code).inc()
    dialect, request_id = dialect_of(request.scope["path"]), request.state.request_id
    status, own, body = dialect.error(error, request_id)
    return Response(body, status, {**own, **dialect.headers(headers or {}, request_id)})


async def _answer_penstock(request: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError)
    return _respond(request, error.data(), error.headers if isinstance(error, LimitReached) else None)


async def _answer_http(request: Request, error: Exception) -> Response:
    """No such route, not this method, or a body that did not come."""
    assert isinstance(error, HTTPException)
    if request.method == "OPTIONS" and error.status_code == 405:
        return Response(status_code=204, headers=dict(error.headers or {}))
    message = f"{request.method} {request.url.path[:LONGEST_PATH]}: {error.detail}."
    code = CODES.get(error.status_code, InvalidRequest.code)
    return _respond(request, ErrorData(code, message, error.status_code), dict(error.headers or {}))


async def _answer_validation(request: Request, error: Exception) -> Response:
    """A parameter in the path or the query is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = str(first["loc"][-1])
    return _respond(request, InvalidValue(f"'{param}': {first['msg']}.", param=param).data())
