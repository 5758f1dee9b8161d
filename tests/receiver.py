"""A receiver of webhooks on 127.0.0.1, which answers as a test tells it to."""

import asyncio
from collections import deque
from collections.abc import Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self

from aiohttp import web

WAIT_S: Final = 30.0


class Call(NamedTuple):
    headers: Mapping[str, str]
    body: bytes


class Receiver:
    """Answers with `statuses` in turn, then with 204; a redirect leads to itself."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.statuses: deque[int] = deque()
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def called(self, times: int) -> Call:
        """The call with this number, counted from 1, once it is there."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.calls) >= times)
        return self.calls[times - 1]

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/{any:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        async with self._changed:
            self.calls.append(Call({name.lower(): value for name, value in request.headers.items()}, body))
            self._changed.notify_all()
        status = self.statuses.popleft() if self.statuses else 204
        return web.Response(status=status, headers={"location": self.url} if 300 <= status < 400 else {})
