from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from benchmarks.seated import MODEL, Engine
from schemas.catalog import Model
from storage.local.ports import free_port
from workers.engine_signals.pages import Pages, pages_of
from workers.engine_signals.reading import Reading

SEATS = 4


def row(**fields: Any) -> Model:
    given = {"id": "m", "engine": "vllm", "context_tokens": 100, "max_output_tokens": 10, "upstream_model": MODEL}
    return Model.model_validate({**given, **fields})


@pytest_asyncio.fixture
async def engine() -> AsyncIterator[tuple[Engine, int]]:
    seated = Engine(SEATS, pace_s=0.001)
    port = free_port()
    server = await seated.listen(port)
    yield seated, port
    server.close()


def test_vllm_s_page_stands_beside_v1_at_every_address() -> None:
    two = row(base_url="http://a:8000/v1", replicas=["http://b:8000/deep/v1/"])
    assert pages_of(two) == ("http://a:8000/metrics", "http://b:8000/deep/metrics")


def test_a_row_says_where_else_its_engines_tell() -> None:
    named = row(
        base_url="http://serve:8000/m/v1", metrics=[["http://node-1:8080/metrics", "http://node-2:8080/metrics"]]
    )
    assert pages_of(named) == ("http://node-1:8080/metrics", "http://node-2:8080/metrics")
    assert pages_of(row(base_url="http://serve:8000/m/v1", metrics=[[]])) == ()


def test_other_engines_tell_where_their_rows_say_and_nowhere_else() -> None:
    assert pages_of(row(engine="openai_compatible", base_url="http://a/v1")) == ()
    named = row(engine="openai_compatible", base_url="http://a/v1", metrics=[["http://a/metrics"]])
    assert pages_of(named) == ("http://a/metrics",)


async def test_what_an_engine_tells_over_http(engine: tuple[Engine, int]) -> None:
    seated, port = engine
    pages = Pages(row(base_url=f"http://127.0.0.1:{port}/v1"))
    for _ in range(3):
        await seated.sit()
    assert await pages.look() == Reading(running=3, waiting=0, cache_share=3 / SEATS / 2, tokens=30)
    await pages.close()


async def test_what_some_addresses_tell_is_enough(engine: tuple[Engine, int]) -> None:
    seated, port = engine
    await seated.sit()
    pages = Pages(row(base_url=f"http://127.0.0.1:{port}/v1", replicas=[f"http://127.0.0.1:{free_port()}/v1"]))
    seen = await pages.look()
    assert seen is not None
    assert (seen.running, seen.waiting) == (1, 0)
    await pages.close()


async def test_why_nothing_was_seen_is_said(engine: tuple[Engine, int]) -> None:
    seated, port = engine
    page = f"http://127.0.0.1:{port}/metrics"
    away = Pages(row(base_url=f"http://127.0.0.1:{free_port()}/v1"))
    assert await away.look() is None
    assert "ClientConnectorError" in away.reason
    other = Pages(row(base_url=f"http://127.0.0.1:{port}/v1", metrics=[[f"http://127.0.0.1:{port}/health"]]))
    assert await other.look() is None
    assert other.reason == f"http://127.0.0.1:{port}/health tells nothing of a model '{MODEL}'"
    mute = Pages(row(base_url=f"http://127.0.0.1:{port}/v1"))
    seated.tells = False
    assert await mute.look() is None
    assert mute.reason == f"{page} answered 404"
    for pages in (away, other, mute):
        await pages.close()
