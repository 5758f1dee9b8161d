"""Submissions in through Kafka, results out through Kafka: every text operation, as HTTP would answer it."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from storage.local.kafka_program import KafkaProgram
from tests.asking import QUESTION
from tests.producer import Producer
from tests.stack import Stack, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = ("ingress", "worker", "streams", "logdoor")
CHAT = "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": QUESTION},
    "/v1/completions": {"prompt": "Greet me."},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 64},
    "/v1/responses": {"input": "Greet me."},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log_stack(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("log-door")
    rows = [{"id": "hasty", "deadline_s": 1}]
    async with running_stack(folder, kafka_program, *PARTS, rows=rows) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def stack(log_stack: Stack) -> AsyncIterator[Stack]:
    """Whoever comes next finds it mended."""
    log_stack.upstream.reset()
    await log_stack.mend(*PARTS)
    yield log_stack


@pytest_asyncio.fixture(loop_scope="session")
async def producer(stack: Stack, account: str) -> AsyncIterator[Producer]:
    key = await stack.create_key(account)
    async with Producer(stack.bootstrap, key.secret).open() as opened:
        yield opened


def said(operation: str, body: Any) -> str:
    match operation:
        case "/v1/chat/completions":
            return str(body["choices"][0]["message"]["content"])
        case "/v1/completions":
            return str(body["choices"][0]["text"])
        case "/v1/messages":
            return str(body["content"][0]["text"])
        case _:
            return str(body["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("operation", BODIES)
async def test_each_operation_is_answered_as_over_http(
    stack: Stack, producer: Producer, account: str, operation: str
) -> None:
    told = await producer.ask(operation, {"model": "scripted", **BODIES[operation]}, headers={"team": "blue"})
    result = told.value
    assert (result["status"], result["error"]) == (200, None)
    assert said(operation, result["body"]) == "Hello there"
    assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (7, 2)
    assert (result["operation"], result["model"]) == (operation, "scripted")
    assert told.key == account
    assert told.headers == {"team": b"blue"}, "the access key goes back to nobody"
    (charge,) = await stack.charges(account, 1)
    assert (charge.event.job_id, charge.event.usage.output_tokens) == (result["id"], 2)
    await stack.until_free(account)
