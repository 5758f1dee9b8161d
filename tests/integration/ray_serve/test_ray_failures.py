"""What becomes of requests when replicas die, a row changes and the cluster is gone: in this order, of one cluster."""

import asyncio
import os
import signal
from typing import Any, Final

import httpx2
import pytest

from tests.integration.ray_serve.served import APART, BOTH, Served
from tests.integration.vllm.engine import CONTEXT_TOKENS
from tests.integration.vllm.questions import Question, chat_fields
from tests.matrix_doors import Site
from tests.stack import Stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

EAST, WEST = APART
BACK_S: Final = 300.0
"""A replica loads all of vLLM again, and here two share two cores."""


async def ask(stack: Stack, site: Site, model: str) -> httpx2.Response:
    async with stack.client(site.secret, timeout_s=BACK_S) as http:
        return await http.post("/v1/chat/completions", json={**chat_fields(Question()), "model": model})


async def until_back(stack: Stack, site: Site, model: str) -> None:
    async def status() -> int:
        return (await ask(stack, site, model)).status_code

    await until(status, lambda seen: seen == 200, BACK_S)


def assert_unavailable(reply: httpx2.Response) -> None:
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) > 0
    assert reply.json()["error"]["code"] == "no_replica"


async def kill_replica(served: Served, application: str) -> None:
    (pid,) = await served.head.replica_pids(application)
    os.kill(pid, signal.SIGKILL)


async def test_killed_replicas_are_done_without_and_come_back(served: Served, stack: Stack, site: Site) -> None:
    fields: Any = {**chat_fields(Question(max_tokens=CONTEXT_TOKENS - 100)), "model": EAST, "stream": True}
    said = b""
    async with (
        stack.client(site.secret, timeout_s=BACK_S) as http,
        http.stream("POST", "/v1/chat/completions", json=fields) as reply,
    ):
        async for piece in reply.aiter_raw():
            if not said:
                await kill_replica(served, EAST)
            said += piece
    assert b'"error"' in said[-2000:], "a stream that was cut ends with an error"
    assert [(await ask(stack, site, BOTH)).status_code for _ in range(4)] == [200] * 4

    await kill_replica(served, WEST)
    assert_unavailable(await ask(stack, site, BOTH))
    for model in (EAST, WEST, BOTH):
        await until_back(stack, site, model)


async def test_a_row_that_changes_leaves_the_other_as_it_is(served: Served, stack: Stack, site: Site) -> None:
    east, west = [await served.head.replica_pids(name) for name in APART]
    served.write({WEST: {"max_running": 7}})
    deploying = asyncio.create_task(served.deploy())
    statuses = []
    while not deploying.done():
        statuses.append((await ask(stack, site, BOTH)).status_code)
    status, output = await deploying
    assert status == 0, output
    assert f"{EAST}: as it was" in output
    assert f"{WEST}: rolls to new replicas" in output
    assert set(statuses) == {200}
    assert await served.head.replica_pids(EAST) == east
    assert set(await served.head.replica_pids(WEST)).isdisjoint(west)
    await until_back(stack, site, WEST)


async def test_a_cluster_that_is_gone_is_told_of_and_comes_back(served: Served, stack: Stack, site: Site) -> None:
    await served.head.kill()
    assert_unavailable(await ask(stack, site, BOTH))
    status, output = await served.deploy()
    assert status == 1
    assert f"{served.head.dashboard}: the cluster cannot be reached" in output
    assert "Traceback" not in output

    await served.head.start()
    status, output = await served.deploy()
    assert status == 0, output
    for model in (EAST, WEST, BOTH):
        await until_back(stack, site, model)
