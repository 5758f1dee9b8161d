"""One Ray cluster with two vLLMs, and one Penstock over it, for all tests of a session."""

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from storage.local.kafka_program import KafkaProgram
from tests.integration.ray_serve.head import RayHead
from tests.integration.ray_serve.served import DEPLOY_S, Served
from tests.integration.vllm.engine import PYTHON, checkpoint
from tests.matrix_doors import Site
from tests.stack import Stack, running_stack


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "ray_serve":
            item.add_marker(pytest.mark.timeout(2 * DEPLOY_S))
            item.add_marker(pytest.mark.skipif(not PYTHON.exists(), reason="vLLM is not installed: make test-vllm"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("r")
    head = RayHead(folder)
    try:
        await head.start()
        served = Served(head, await checkpoint(folder), folder / "models.yaml")
        status, output = await served.deploy()
        assert status == 0, output
        yield served
    finally:
        await head.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram, served: Served
) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    files = os.pathsep.join([str(folder / "catalog.yaml"), str(served.file)])
    async with running_stack(folder, kafka_program, PENSTOCK_CATALOG=files) as running:
        yield running
    for part in ("ingress", "worker", "streams"):
        assert "Traceback" not in running.log(part), f"{part}: nothing that a test does is a fault of the platform's"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(stack: Stack) -> Site:
    return Site(stack.url, (await stack.create_key("ray")).secret)
