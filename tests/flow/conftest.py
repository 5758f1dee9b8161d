"""One running Penstock for all flow tests that leave it as they found it, and one for those that break it."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
import pytest_asyncio

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests.stack import Stack, running_stack

DEAR: Final = {"input_usd_per_mtok": 1000, "output_usd_per_mtok": 2000}

ROWS: Final[list[dict[str, Any]]] = [
    {"id": "brief", "deadline_s": 1, "aliases": ["org/brief"]},
    {"id": "short", "deadline_s": 4},
    {"id": "wide", "context_tokens": 4_000_000, "max_output_tokens": 100_000},
    {"id": "unserved", "lane": "text.unserved"},
    {"id": "narrow", "lane": "text.narrow"},
    {"id": "narrow-brief", "lane": "text.narrow", "deadline_s": 1},
    {"id": "claude", "engine": "anthropic"},
    {"id": "uncounted", "engine": "anthropic", "abilities": []},
    {"id": "able-responses", "engine": "openai_responses", "max_output_tokens": 4096},
    {"id": "able-messages", "engine": "anthropic", "max_output_tokens": 4096},
    {
        "id": "able-chat",
        "aliases": ["my-model"],
        "inputs": ["text", "image", "document"],
        "abilities": ["tools", "parallel_tools", "reasoning", "json_object", "json_schema", "prompt_cache"],
        "max_output_tokens": 4096,
    },
    {"id": "fetching", "inputs": ["text", "image"], "url_fetch": "provider"},
    {"id": "away", "base_url": "http://127.0.0.1:9/v1", "attempts": 1, "price": DEAR, "fallbacks": ["able-chat"]},
    {"id": "unsteady", "fallbacks": ["able-chat"]},
    {"id": "counting", "abilities": ["count_tokens"]},
    {
        "id": "embedder",
        "modality": "embedding",
        "lane": "embedding.default",
        "embedding": {
            "dimensions": 3,
            "shorter": True,
            "token_inputs": True,
            "max_inputs": 4,
            "max_input_tokens": 10,
        },
    },
    {
        "id": "speaker",
        "modality": "speech",
        "lane": "speech.default",
        "speech": {
            "voices": ["alloy"],
            "output_formats": ["mp3", "wav"],
            "max_chars": 40,
            "speed": {"min": 0.5, "max": 2},
            "instructions": True,
        },
        "price": {"usd_per_mchar": 100},
    },
    {
        "id": "painter",
        "modality": "image",
        "lane": "image.default",
        "image": {
            "sizes": ["1024x1024", "512x512"],
            "max_images": 4,
            "qualities": ["low", "high"],
            "backgrounds": ["transparent", "opaque"],
            "max_partial_images": 2,
            "max_prompt_chars": 40,
        },
        "price": {"usd_per_image": 0.04, "input_usd_per_mtok": 5, "output_usd_per_mtok": 40},
    },
    {"id": "hasty", "attempts": 2, "timeouts": {"connect_s": 1, "first_chunk_s": 0.5, "silence_s": 0.5}},
]
"""Models beside `scripted`, each with one thing of its own."""


FETCHING: Final = {"PENSTOCK_FETCH_NETWORKS": '["127.0.0.1/32"]', "PENSTOCK_FETCH_HTTP": "1"}
"""What lets a worker fetch from the scripted upstream."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_stack(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), kafka_program, rows=ROWS, **FETCHING) as running:
        yield running
    for part in ("ingress", "ingress-tight", "worker", "narrow", "embedded", "media", "dispatcher", "jobs", "streams"):
        faults = [line for line in running.log(part).splitlines() if '"exception":' in line or "Traceback" in line]
        assert faults == [], f"{part}: nothing that a test of this stack does is a fault of the platform's"


@pytest_asyncio.fixture(loop_scope="session")
async def stack(session_stack: Stack) -> AsyncIterator[Stack]:
    """The session's stack, its upstream as new. A test leaves no request and no job open in it."""
    session_stack.upstream.reset()
    yield session_stack
    await session_stack.until_idle()


@pytest_asyncio.fixture(loop_scope="session")
async def key(session_stack: Stack, account: str) -> NewKey:
    """An access key of an account that is this test's own."""
    return await session_stack.create_key(account)


@pytest.fixture
def account(request: pytest.FixtureRequest) -> str:
    return re.sub(r"[^a-zA-Z0-9]+", "-", request.node.name).strip("-")[:120]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_tight_door(session_stack: Stack) -> str:
    return await session_stack.start_door(
        "ingress-tight",
        PENSTOCK_PING_S="0.5",
        PENSTOCK_STALL_S="2",
        PENSTOCK_BODY_S="1",
        PENSTOCK_UNSERVED_S="4",
        PENSTOCK_KEY_TTL_S="0.5",
        PENSTOCK_MAX_OPEN_REQUESTS="8",
        PENSTOCK_CORS_ORIGINS='["https://pages.example"]',
        PENSTOCK_TRUSTED_PROXIES='["127.0.0.0/8"]',
    )


@pytest_asyncio.fixture(loop_scope="session")
async def tight_door(stack: Stack, session_tight_door: str) -> AsyncIterator[str]:
    """The address of a second ingress of the session's stack, whose patience is short."""
    yield session_tight_door
    await stack.until_idle(session_tight_door)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_narrow(session_stack: Stack) -> None:
    await session_stack.start("narrow", PENSTOCK_SLOTS="1")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_embedded(session_stack: Stack) -> None:
    await session_stack.start("embedded")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_media(session_stack: Stack) -> None:
    await session_stack.start("media", **FETCHING)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_long(session_stack: Stack) -> None:
    await asyncio.gather(session_stack.start("dispatcher"), session_stack.start("jobs"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_batches(session_stack: Stack) -> None:
    await session_stack.start("batches")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def session_breakable(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram
) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("breakable"), kafka_program, rows=ROWS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def breakable(session_breakable: Stack) -> AsyncIterator[Stack]:
    """A stack whose parts a test may kill; whoever comes next finds it mended."""
    session_breakable.upstream.reset()
    await session_breakable.mend("ingress", "worker", "streams")
    yield session_breakable
