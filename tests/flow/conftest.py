"""One running Penstock for all flow tests that leave it as they found it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from storage.local.kafka_program import KafkaProgram
from storage.keys import NewKey
from tests.stack import Stack, running_stack


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), kafka_program) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def key(stack: Stack, request: pytest.FixtureRequest) -> NewKey:
    """An access key of an account that is this test's own."""
    return await stack.create_key(account=request.node.name.replace("[", "-").replace("]", "")[:60])
