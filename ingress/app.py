"""The composition root of the HTTP ingress."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from ingress.door import Door
from ingress.errors import openai_error
from ingress.limits import LimitReached
from ingress.metrics import ERRORS
from ingress.observed import Observed
from ingress.routes import chat, health, models, usage
from ingress.settings import IngressSettings
from schemas.errors import ErrorData, InternalError, InvalidValue, PenstockError
from schemas.wire.openai_chat import ChatCompletionRequest
from storage.ready import notify_ready
from storage.settings import ObserveSettings, StorageSettings

log = logging.getLogger(__name__)


def create_app(storage: StorageSettings, settings: IngressSettings, observe: ObserveSettings) -> FastAPI:
    """The app; it opens what it needs when it starts, and is ready when start-up is complete."""

    @asynccontextmanager
    async def opened(app: FastAPI) -> AsyncIterator[None]:
        async with Door(storage, settings, observe) as door:
            app.state.door = door
            notify_ready()
            yield

    app = FastAPI(title="Penstock", version="0.1.0", lifespan=opened, redirect_slashes=False)
    for routes in (chat, models, usage, health):
        app.include_router(routes.router)
    app.add_exception_handler(PenstockError, _answer_penstock)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_validation)
    app.add_exception_handler(Exception, _answer_bug)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["x-request-id", "retry-after"],
        )
    app.add_middleware(Observed)
    _describe_hand_parsed_bodies(app)
    return app


def _respond(request: Request, error: ErrorData, headers: dict[str, str] | None = None) -> Response:
    ERRORS.labels(error.code).inc()
    status, own, body = openai_error(error, request.state.request_id)
    return Response(body, status, {**own, **(headers or {})})


async def _answer_penstock(request: Request, error: Exception) -> Response:
    assert isinstance(error, PenstockError)
    return _respond(request, error.data(), error.headers if isinstance(error, LimitReached) else None)


async def _answer_http(request: Request, error: Exception) -> Response:
    """No such route, or not this method."""
    assert isinstance(error, HTTPException)
    if request.method == "OPTIONS" and error.status_code == 405:
        return Response(status_code=204, headers=dict(error.headers or {}))
    message = f"{request.method} {request.url.path}: {error.detail}."
    code = "not_found" if error.status_code == 404 else "method_not_allowed"
    return _respond(request, ErrorData(code, message, error.status_code), dict(error.headers or {}))


async def _answer_validation(request: Request, error: Exception) -> Response:
    """A parameter in the path or the query is wrong."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    param = str(first["loc"][-1])
    return _respond(request, InvalidValue(f"'{param}': {first['msg']}.", param=param).data())


async def _answer_bug(request: Request, error: Exception) -> Response:
    log.error("request_failed", exc_info=error, extra={"request_id": request.state.request_id})
    return _respond(request, InternalError("The platform failed. The request id leads to the reason.").data())


def _describe_hand_parsed_bodies(app: FastAPI) -> None:
    """Adds to the OpenAPI document the schemas of bodies that routes read themselves."""
    document = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schemas = document().setdefault("components", {}).setdefault("schemas", {})
            schema = ChatCompletionRequest.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(schema.pop("$defs", {}))
            schemas["ChatCompletionRequest"] = schema
        return document()

    app.openapi = described  # type: ignore[method-assign]
