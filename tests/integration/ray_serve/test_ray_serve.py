"""Every door over vLLM behind Ray Serve, as the catalogue has it served."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import pytest
import pytest_asyncio

from tests.integration.ray_serve.served import BOTH, Served
from tests.integration.vllm.doors import DOORS
from tests.integration.vllm.engine import CONTEXT_TOKENS, VLLM
from tests.integration.vllm.leaving import leave
from tests.integration.vllm.questions import QUESTIONS, Question, chat_fields, plain, steered
from tests.integration.vllm.test_vllm import UNSPEAKABLE, WHOLE_OR_STREAM
from tests.matrix_doors import Site
from tests.stack import Stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROW: Final = "east"


def cells() -> Iterator[tuple[str, str]]:
    for door in DOORS:
        for feature in QUESTIONS:
            if (door, feature) not in UNSPEAKABLE:
                yield door, feature


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def engine(served: Served) -> AsyncIterator[VLLM]:
    engine = served.directly(ROW)
    yield engine
    await engine.close()


@WHOLE_OR_STREAM
@pytest.mark.parametrize("cell", list(cells()), ids=" ".join)
async def test_a_cell(engine: VLLM, site: Site, cell: tuple[str, str], stream: bool) -> None:
    door, feature = cell
    question, direct = await steered(engine, feature)
    answer = await DOORS[door](site, ROW, question, stream)
    assert plain(answer) == plain(direct)


@WHOLE_OR_STREAM
async def test_a_client_that_leaves_frees_the_engine(served: Served, stack: Stack, site: Site, stream: bool) -> None:
    served.head.spare_a_core()
    await leave(stack, site, ROW, served.head.metric, stream=stream)


async def test_requests_at_the_same_time_go_to_both(served: Served, stack: Stack, site: Site) -> None:
    served.head.spare_a_core()
    fields: Any = {**chat_fields(Question(max_tokens=CONTEXT_TOKENS - 100)), "model": BOTH, "stream": True}

    async def busy() -> int:
        return sum(running > 0 for running in (await served.head.samples("vllm:num_requests_running")).values())

    async with (
        stack.client(site.secret) as http,
        http.stream("POST", "/v1/chat/completions", json=fields) as one,
        http.stream("POST", "/v1/chat/completions", json=fields) as other,
    ):
        assert [one.status_code, other.status_code] == [200, 200]
        await until(busy, lambda replicas: replicas == 2)
    await until(busy, lambda replicas: replicas == 0)
