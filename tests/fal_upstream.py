"""A queue that speaks fal's protocol over real HTTP, as fal-client 1.0.3 reads it, as well or badly as a test wants."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

PICTURE: Final = b"\x89PNG\r\n\x1a\n" + b"a boat " * 20_000
SECRET: Final = "fal-secret"


@dataclass
class Request:
    """One request in the queue; `statuses` are told one after the other, the last for ever."""

    application: str
    arguments: dict[str, Any]
    headers: dict[str, str]
    query: dict[str, str]
    statuses: list[dict[str, Any]]
    result: Any
    polls: int = 0
    cancelled: bool = False


@dataclass
class FalQueue:
    """`refusals` are the statuses that the next calls of a name are refused with; a call named in `held` waits."""

    statuses: list[dict[str, Any]] = field(default_factory=list)
    result: Any = None
    result_status: int = 200
    refusals: dict[str, list[int]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    urls_at: str | None = None
    """Where the queue says that its jobs are asked for; None is where they are."""

    def __post_init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self.asked: Counter[str] = Counter()
        self.fetched_with: list[str | None] = []
        self.go = asyncio.Event()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/files/{name}", self._file)
        app.router.add_post("/{owner}/{alias}", self._submit)
        app.router.add_post("/{owner}/{alias}/{path:.+}", self._submit)
        app.router.add_get("/{owner}/{alias}/requests/{id}/status", self._status)
        app.router.add_get("/{owner}/{alias}/requests/{id}", self._result)
        app.router.add_put("/{owner}/{alias}/requests/{id}/cancel", self._cancel)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go.set()
        await self._runner.cleanup()

    def file(self, name: str) -> str:
        """Where a file that an application made lies."""
        return f"{self.url}/files/{name}"

    async def arrived(self) -> None:
        """Returns once a request was taken."""
        async with asyncio.timeout(30):
            await self._arrived.wait()

    async def _submit(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Key {SECRET}":
            return web.json_response({"detail": "Cannot access application"}, status=401)
        if (refused := self._refusal("submit")) is not None:
            return refused
        request_id = f"{len(self.requests):08x}-fa1"
        owner, alias = request.match_info["owner"], request.match_info["alias"]
        path = request.match_info.get("path")
        self.requests[request_id] = Request(
            "/".join(filter(None, [owner, alias, path])),
            await request.json(),
            dict(request.headers),
            dict(request.query),
            self.statuses or [{"status": "COMPLETED"}],
            self.result,
        )
        self._arrived.set()
        if "submit" in self.held:
            await self.go.wait()
        # As the real one does, without the path below the application.
        base = self.url if self.urls_at is None else self.urls_at
        at = f"{base}/{owner}/{alias}/requests/{request_id}"
        return web.json_response(
            {
                "request_id": request_id,
                "response_url": at,
                "status_url": f"{at}/status",
                "cancel_url": f"{at}/cancel",
                "queue_position": 0,
            }
        )

    async def _status(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refusal("status")) is not None:
            return refused
        found = self._found(request)
        told = found.statuses[min(found.polls, len(found.statuses) - 1)]
        found.polls += 1
        kept = {"IN_QUEUE": {"queue_position": 3}, "IN_PROGRESS": {"logs": None}}
        status = {**kept.get(told["status"], {"logs": [], "metrics": {}}), **told}
        return web.json_response(status, status=200 if told["status"] == "COMPLETED" else 202)

    async def _result(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refusal("result")) is not None:
            return refused
        found = self._found(request)
        if (error := found.statuses[-1].get("error")) is not None:
            told = {"detail": error, "error_type": found.statuses[-1].get("error_type")}
            return web.json_response(told, status=500)
        return web.json_response(found.result, status=self.result_status)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        self.asked["cancel"] += 1
        found = self._found(request)
        if found.polls and found.statuses[min(found.polls, len(found.statuses)) - 1]["status"] == "COMPLETED":
            return web.json_response({"status": "ALREADY_COMPLETED"}, status=400)
        found.cancelled = True
        return web.json_response({"status": "CANCELLATION_REQUESTED"}, status=202)

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self.fetched_with.append(request.headers.get("Authorization"))
        if (refused := self._refusal("file")) is not None:
            return refused
        return web.Response(body=PICTURE, content_type="image/png")

    def _found(self, request: web.Request) -> Request:
        try:
            return self.requests[request.match_info["id"]]
        except KeyError:
            raise web.HTTPNotFound(text='{"detail": "Request not found"}', content_type="application/json") from None

    def _refusal(self, name: str) -> web.Response | None:
        self.asked[name] += 1
        statuses = self.refusals.get(name)
        if not statuses:
            return None
        headers = {"X-Fal-Error-Type": "runner_error"}
        return web.json_response({"detail": f"no {name} now"}, status=statuses.pop(0), headers=headers)
