"""An upstream that speaks OpenAI's videos over real HTTP, as well or as badly as a test tells it to."""

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

MP4: Final = b"\x00\x00\x00\x18ftypmp42" + b"a film " * 40_000
MEGABYTE: Final = bytes(1024 * 1024)
CALLS: Final = ("create", "poll", "content", "cancel")


class VideoUpstream:
    """`polls` are the statuses told one after the other, the last for ever. A call named in `held` waits for `go`.

    A held call has done its work already: what a caller loses with it is only the answer. `refusals` are the statuses
    that the next calls of a name are refused with.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """As if nothing had been asked yet."""
        self.polls: list[dict[str, Any]] = [{"status": "completed", "progress": 100}]
        self.content = MP4
        self.ranges = True
        """Whether the content is given from anywhere on, as RFC 9110 has it."""
        self.large_bytes = 0
        """A file of this size in place of the content."""
        self.held: set[str] = set()
        self.go = asyncio.Event()
        self.refusals: dict[str, list[int]] = {}
        self.asked: Counter[str] = Counter()
        self.forms: list[dict[str, Any]] = []
        self.made: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.dedupes = False
        self._arrived: dict[str, asyncio.Event] = {name: asyncio.Event() for name in CALLS}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/videos", self._create)
        app.router.add_get("/v1/videos/{id}", self._poll)
        app.router.add_get("/v1/videos/{id}/content", self._content)
        app.router.add_delete("/v1/videos/{id}", self._cancel)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.go.set()
        await self._runner.cleanup()

    async def arrived(self, name: str) -> None:
        """Returns once a call of this name came in."""
        async with asyncio.timeout(30):
            await self._arrived[name].wait()

    def let_go(self) -> None:
        """Answers what is held, and holds no more."""
        self.held.clear()
        self.go.set()

    async def _create(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        key = request.headers.get("Idempotency-Key", "")
        if (refused := self._refusal("create")) is not None:
            return refused
        self.forms.append({**form, "key": key})
        if not (self.dedupes and key in self.made):
            self.made[key] = f"video_{len(self.forms)}"
        await self._answering("create")
        return web.json_response({"id": self.made[key], "object": "video", "status": "queued"})

    async def _poll(self, request: web.Request) -> web.StreamResponse:
        number = min(self.asked["poll"], len(self.polls) - 1)
        if (refused := self._refusal("poll")) is not None:
            return refused
        await self._answering("poll")
        return web.json_response({"id": request.match_info["id"], "object": "video", **self.polls[number]})

    async def _content(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refusal("content")) is not None:
            return refused
        if self.large_bytes:
            return await self._large(request)
        span = request.http_range
        if self.ranges and span.start is not None:
            return self._rest(span.start)
        response = web.StreamResponse(headers={"Content-Type": "video/mp4", "Content-Length": str(len(self.content))})
        await response.prepare(request)
        half = len(self.content) // 2
        await response.write(self.content[:half])
        await self._answering("content")
        await response.write(self.content[half:])
        return response

    def _rest(self, start: int) -> web.Response:
        size = len(self.content)
        if start >= size:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{size}"})
        place = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
        return web.Response(status=206, body=self.content[start:], headers=place)

    async def _large(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(self.large_bytes)})
        await response.prepare(request)
        for _ in range(self.large_bytes // len(MEGABYTE)):
            await response.write(MEGABYTE)
        return response

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refusal("cancel")) is not None:
            return refused
        self.cancelled.append(request.match_info["id"])
        await self._answering("cancel")
        return web.json_response({"id": request.match_info["id"], "object": "video.deleted", "deleted": True})

    def _refusal(self, name: str) -> web.Response | None:
        self.asked[name] += 1
        statuses = self.refusals.get(name)
        if not statuses:
            return None
        status = statuses.pop(0)
        return web.json_response({"error": {"message": f"refused with {status}", "type": "x"}}, status=status)

    async def _answering(self, name: str) -> None:
        self._arrived[name].set()
        if name in self.held:
            await self.go.wait()
