"""What a probe takes for well, over real HTTP."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from yarl import URL

from storage.local.ports import free_port
from tests.waiting import eventually
from workers.replicas.probe import Probe, Probes
from workers.replicas.replica import Replica


class Server:
    """Answers each path of `statuses` with its status, and others with 404."""

    def __init__(self) -> None:
        self.statuses: Mapping[str, int] = {}
        self.asked: list[str] = []
        self.hangs = False
        self._stopping = asyncio.Event()
        self.port = free_port()

    @property
    def url(self) -> URL:
        return URL(f"http://127.0.0.1:{self.port}/app/v1")

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer))
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def stop(self) -> None:
        self._stopping.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self.asked.append(request.path)
        if self.hangs:
            await self._stopping.wait()
        return web.Response(status=self.statuses.get(request.path, 404))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[Server]:
    running = Server()
    await running.start()
    yield running
    await running.stop()


@pytest_asyncio.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.2)) as session:
        yield session


@pytest.mark.parametrize(
    ("statuses", "well"),
    [
        ({"/app/health": 200}, True),
        ({"/app/health": 503, "/app/v1/models": 200}, False),
        ({"/app/v1/models": 200}, True),
        ({"/app/v1/models": 401}, True),
        ({"/app/health": 429}, True),
        ({"/app/v1/models": 500}, False),
        ({}, False),
    ],
)
async def test_what_is_well(
    server: Server, http: aiohttp.ClientSession, statuses: Mapping[str, int], well: bool
) -> None:
    server.statuses = statuses
    assert await Probe(server.url, None).well(http) is well


async def test_a_path_that_was_found_is_asked_alone(server: Server, http: aiohttp.ClientSession) -> None:
    server.statuses = {"/app/v1/models": 200}
    probe = Probe(server.url, None)
    assert [await probe.well(http) for _ in range(3)] == [True] * 3
    assert server.asked == ["/app/health", "/app/v1/models", "/app/v1/models", "/app/v1/models"]


async def test_a_path_that_the_row_says_is_asked_at_the_host(server: Server, http: aiohttp.ClientSession) -> None:
    server.statuses = {"/-/healthz": 200}
    assert await Probe(server.url, "/-/healthz").well(http)
    assert server.asked == ["/-/healthz"]


async def test_who_does_not_answer_or_is_not_there_is_not_well(server: Server, http: aiohttp.ClientSession) -> None:
    server.hangs = True
    assert not await Probe(server.url, None).well(http)
    assert not await Probe(URL(f"http://127.0.0.1:{free_port()}/v1"), None).well(http)


async def test_replicas_are_watched_from_start_to_close(server: Server) -> None:
    server.statuses = {"/app/health": 200}
    replica = Replica("m", "watched", None, time.monotonic)
    out: list[Replica[Any]] = []
    probes = Probes([(replica, Probe(server.url, None))], out.append, every_s=0.04, again_s=0.02, limit_s=1)
    await probes.start()
    await eventually(lambda: len(server.asked) >= 3)
    assert (replica.state, out) == ("closed", [])
    await server.stop()
    await eventually(lambda: replica.state == "open" and out)
    assert not replica.triable
    await server.start()
    await eventually(lambda: replica.triable)
    await probes.close()
    assert all(task.cancelled() for task in probes._tasks)


async def test_the_log_says_why_a_probe_took_a_replica_out(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A server without either route is out from the first: whoever runs it must learn which was looked for."""
    replica = Replica("m", "unknown", None, time.monotonic)
    probes = Probes([(replica, Probe(server.url, None))], lambda _: None, every_s=0.04, again_s=0.02, limit_s=1)
    await probes.start()
    await eventually(lambda: replica.state == "open")
    await probes.close()
    (record,) = [each for each in caplog.records if each.message == "replica_out"]
    assert (record.by, record.reason) == ("probe", f"{server.url}/models answered 404")  # type: ignore[attr-defined]


async def test_nothing_is_opened_where_nothing_is_to_be_watched() -> None:
    probes = Probes([], lambda _: None)
    await probes.start()
    await probes.close()
