"""The engine against an upstream that answers in the ways that upstreams do."""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
)
from schemas.media import Embed
from schemas.media_chunks import Vectors
from schemas.usage import Usage
from tests.embedding_upstream import JSON, embeddings, encoded, listed
from tests.upstream import CUT, Reply, Upstream, refusal
from workers.engine import EngineBusy
from workers.engines.openai_embeddings import OpenAIEmbeddings
from workers.engines.setup import SetupError

TWO = Embed(("a", "b"))


def row(base_url: str, **options: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "modality": "embedding",
            "engine": "openai_compatible",
            "base_url": base_url,
            "upstream_model": "org/m",
            "embedding": {"dimensions": 2, "shorter": True},
            "timeouts": {"first_chunk_s": 0.5},
            "engine_options": options,
        }
    )


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAIEmbeddings]:
    engine = OpenAIEmbeddings(row(upstream.url), "sk-upstream-1")
    yield engine
    await engine.close()


async def run(engine: OpenAIEmbeddings, asked: Embed = TWO) -> tuple[list[tuple[float, ...]], Usage]:
    (batch,) = [batch async for batch in engine.generate("job-1", asked)]
    *chunks, report = batch
    assert isinstance(report, UsageReport)
    found: list[tuple[float, ...]] = []
    for chunk in chunks:
        assert isinstance(chunk, Vectors)
        found += struct.Struct(f"<{chunk.dimensions}f").iter_unpack(chunk.data)
    return found, report.usage


async def test_it_is_asked_for_base64_with_its_own_name_for_the_model(
    upstream: Upstream, engine: OpenAIEmbeddings
) -> None:
    upstream.script(embeddings(encoded([1, 0]), encoded([0, 1]), input_tokens=6))
    vectors, usage = await run(engine, Embed(("a", "b"), dimensions=2, user="u"))
    assert vectors == [(1, 0), (0, 1)]
    assert usage == Usage(input_tokens=6)
    asked = upstream.asked[0]
    assert asked.target == "/v1/embeddings"
    assert asked.headers["authorization"] == "Bearer sk-upstream-1"
    assert asked.headers["x-request-id"] == "job-1"
    assert asked.body == {
        "model": "org/m",
        "input": ["a", "b"],
        "encoding_format": "base64",
        "dimensions": 2,
        "user": "u",
    }


@pytest.mark.parametrize(
    ("asked", "given"),
    [(Embed(("a",)), "a"), (Embed(((1, 2),)), [[1, 2]]), (Embed(((1,), (2, 3))), [[1], [2, 3]])],
)
async def test_inputs_keep_their_shape(
    upstream: Upstream, engine: OpenAIEmbeddings, asked: Embed, given: object
) -> None:
    upstream.script(embeddings(*[[1, 0]] * len(asked.inputs)))
    await run(engine, asked)
    assert upstream.asked[0].body["input"] == given


async def test_a_row_may_leave_the_encoding_out_and_add_fields(upstream: Upstream) -> None:
    engine = OpenAIEmbeddings(row(upstream.url, encoding_format=None, body={"truncate": "NONE"}), None)
    upstream.script(embeddings([1, 0], [0, 1]))
    await run(engine)
    await engine.close()
    assert upstream.asked[0].body == {"model": "org/m", "input": ["a", "b"], "truncate": "NONE"}


@pytest.mark.parametrize(
    "reply",
    [
        embeddings([1, 0], [0.5, 2], input_tokens=6),
        embeddings([1, 0], encoded([0.5, 2]), input_tokens=6),
        embeddings([1, 0], [0.5, 2], input_tokens=6, numbered=False),
        listed([{"index": 1, "embedding": [0.5, 2]}, {"index": 0, "embedding": [1, 0], "extra": None}], 6),
    ],
)
async def test_numbers_other_orders_and_missing_indexes_are_read(
    upstream: Upstream, engine: OpenAIEmbeddings, reply: Reply
) -> None:
    upstream.script(reply)
    assert await run(engine) == ([(1, 0), (0.5, 2)], Usage(input_tokens=6))


async def test_what_is_not_counted_is_estimated(upstream: Upstream, engine: OpenAIEmbeddings) -> None:
    upstream.script(embeddings([1, 0], input_tokens=None))
    _, usage = await run(engine, Embed(("12345678",)))
    assert usage == Usage(input_tokens=2, estimated=True)


@pytest.mark.parametrize(
    "reply",
    [
        Reply([b"<html>"], 200, JSON),
        Reply([b"{}"], 200, JSON),
        embeddings([1, 0]),
        embeddings([1, 0], [0, 1], [1, 1]),
        embeddings([1, 0, 0], [0, 1, 0]),
        embeddings([1, 0], "no base64!"),
        embeddings([1, 0], encoded([float("nan"), 1])),
        embeddings([1, 0], encoded([float("inf"), 1])),
        embeddings([1, 0], [1e39, 1]),
        embeddings([1, 0], ["a", "b"]),
        listed([{"index": 1, "embedding": [1, 0]}, {"index": 1, "embedding": [0, 1]}]),
        listed([{"index": 0, "embedding": [1, 0]}, {"index": 2, "embedding": [0, 1]}]),
    ],
)
async def test_what_are_no_embeddings_of_all_inputs_is_a_failure(
    upstream: Upstream, engine: OpenAIEmbeddings, reply: Reply
) -> None:
    upstream.script(reply)
    with pytest.raises(EngineFailed):
        await run(engine)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(400, {"message": "bad", "param": "input"}), InvalidRequest),
        (refusal(400, {"message": "long", "code": "context_length_exceeded"}), ContextLengthExceeded),
        (refusal(400, {"message": "long", "param": "input_tokens"}), ContextLengthExceeded),
        (refusal(401, {"message": "key sk-upstream-1"}), EngineRejected),
        (refusal(404, {"message": "no such model"}), EngineRejected),
        (refusal(429, {"message": "slow down"}), EngineBusy),
        (refusal(503, {"message": "busy"}), EngineBusy),
        (Reply([b'{"object"', CUT]), EngineUnavailable),
        (Reply([b'{"object"', asyncio.Event()]), EngineUnavailable),
    ],
)
async def test_refusals_and_silence(
    upstream: Upstream, engine: OpenAIEmbeddings, reply: Reply, kind: type[PenstockError]
) -> None:
    upstream.script(reply)
    with pytest.raises(kind) as raised:
        await run(engine)
    assert type(raised.value) is kind
    assert "sk-upstream-1" not in raised.value.message


async def test_what_is_too_long_is_the_input(upstream: Upstream, engine: OpenAIEmbeddings) -> None:
    upstream.script(refusal(400, {"message": "long", "param": "input_tokens"}))
    with pytest.raises(ContextLengthExceeded) as raised:
        await run(engine)
    assert raised.value.param == "input"


async def test_an_answer_larger_than_it_can_be_is_not_read_to_its_end(
    upstream: Upstream, engine: OpenAIEmbeddings
) -> None:
    upstream.script(Reply([b" " * 1_000_000], 200, JSON))
    with pytest.raises(EngineFailed):
        await run(engine)


def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(SetupError, match="encoding_fromat"):
        OpenAIEmbeddings(row("http://127.0.0.1:1/v1", encoding_fromat="float"), None)
