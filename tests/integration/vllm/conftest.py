"""One vLLM and one Penstock over it for all tests of a session, and the rows that reach it by each dialect."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from storage.local.kafka_program import KafkaProgram
from tests.integration.vllm.engine import CONTEXT_TOKENS, NAME, PYTHON, VLLM, running_vllm
from tests.matrix_doors import Site
from tests.stack import Stack, running_stack

START_S = 400
"""The first test waits for both to start."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "vllm":
            item.add_marker(pytest.mark.timeout(START_S))
            item.add_marker(pytest.mark.skipif(not PYTHON.exists(), reason="vLLM is not installed: make test-vllm"))


def rows(url: str) -> list[dict[str, Any]]:
    """The context is told larger than it is, so that a prompt too long is vLLM's to refuse."""
    shared = {
        "base_url": url + "/v1",
        "upstream_model": NAME,
        "context_tokens": 16 * CONTEXT_TOKENS,
        "max_output_tokens": CONTEXT_TOKENS,
    }
    able = ["tools", "parallel_tools", "json_object", "json_schema", "reasoning"]
    return [
        {
            **shared,
            "id": "by-chat",
            "abilities": [*able, "count_tokens"],
            "engine_options": {"reasoning": "vllm", "earlier_reasoning": "reasoning", "continuous_usage": True},
        },
        {
            **shared,
            "id": "by-responses",
            "engine": "openai_responses",
            "inputs": ["text"],
            "abilities": able,
            "engine_options": {"sealed_reasoning": False, "summary": None},
        },
        {
            **shared,
            "id": "by-messages",
            "engine": "anthropic",
            "inputs": ["text"],
            "engine_options": {"thinking": "adaptive"},
        },
    ]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VLLM]:
    async with running_vllm(tmp_path_factory.mktemp("vllm")) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram, engine: VLLM
) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), kafka_program, rows=rows(engine.url)) as running:
        yield running
    for part in ("ingress", "worker", "streams"):
        assert "Traceback" not in running.log(part), f"{part}: nothing that a test does is a fault of the platform's"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(stack: Stack) -> Site:
    return Site(stack.url, (await stack.create_key("vllm")).secret)
