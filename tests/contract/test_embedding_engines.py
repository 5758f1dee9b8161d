"""What every embedding engine keeps to, whatever is behind it: a scripted upstream, or the real embedded model."""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pytest

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, PenstockError
from schemas.media import Embed
from schemas.media_chunks import Vectors
from storage.replies import PUBLISH_LIMIT_BYTES
from tests.embedding_upstream import embeddings, encoded
from tests.upstream import Reply, Upstream, refusal
from workers.engine import EmbeddingEngine
from workers.registry import Starts, build

DIMENSIONS: Final = 384
MANY: Final = 700
"""More than one publish carries."""


def vector(number: float, dimensions: int = DIMENSIONS) -> list[float]:
    return [number] + [0.0] * (dimensions - 1)


UPSTREAM: Final[Mapping[str, Reply]] = {
    "three": embeddings(*(encoded(vector(number)) for number in (1, 0.5, 0.25)), input_tokens=30),
    "shorter": embeddings(encoded([0.6, 0.8]), input_tokens=9),
    "many": embeddings(*(encoded(vector(number)) for number in range(MANY)), input_tokens=2100),
    "too long": refusal(400, {"message": "too long", "code": "context_length_exceeded", "param": "input"}),
    "tokens": embeddings(encoded(vector(1)), input_tokens=4),
    "endless": Reply([b'{"object":', asyncio.Event()], 200, {"Content-Type": "application/json"}),
}

ROW: Final = {
    "id": "m",
    "modality": "embedding",
    "embedding": {"dimensions": DIMENSIONS, "max_input_tokens": 256, "shorter": True, "token_inputs": True},
}
LONG: Final = Embed(tuple(" ".join(["word"] * 200) for _ in range(2048)))
"""The better part of a minute for the embedded model."""


@dataclass
class Subject:
    """An engine; `expect` readies what is behind it for a case, `begun` returns once it is at work.

    What is given to `begun` is set with the first vectors.
    """

    engine: EmbeddingEngine
    expect: Callable[[str], None]
    begun: Callable[[asyncio.Event], Awaitable[object]]


async def openai_compatible() -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        model = Model.model_validate({**ROW, "engine": "openai_compatible", "base_url": upstream.url})
        engine = build(model, {})
        yield Subject(engine, lambda case: upstream.script(UPSTREAM[case]), lambda _: upstream.arrived(1))
        await engine.close()


async def minilm() -> AsyncIterator[Subject]:
    pytest.importorskip("onnxruntime")
    engine = build(Model.model_validate({**ROW, "engine": "minilm"}), {})
    assert isinstance(engine, Starts)
    await engine.start()
    yield Subject(engine, lambda case: None, asyncio.Event.wait)
    await engine.close()


@pytest.fixture(params=[openai_compatible, minilm], ids=lambda kind: kind.__name__)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for made in request.param():
        yield made


async def deltas_of(subject: Subject, case: str, asked: Embed) -> list[Any]:
    subject.expect(case)
    deltas: list[Any] = []
    async for batch in subject.engine.generate("job-1", asked):
        assert batch, "a batch is never empty"
        deltas += batch
    return deltas


def vectors_of(deltas: Sequence[Any]) -> list[tuple[float, ...]]:
    """Every vector, once it is seen that they come in the order of their inputs."""
    found: list[tuple[float, ...]] = []
    for delta in deltas:
        if isinstance(delta, Vectors):
            assert delta.first == len(found)
            found += struct.Struct(f"<{delta.dimensions}f").iter_unpack(delta.data)
    return found


def used(deltas: Sequence[Any]) -> int:
    last = [delta.usage for delta in deltas if isinstance(delta, UsageReport)][-1]
    assert (last.output_tokens, last.estimated) == (0, False)
    tokens: int = last.input_tokens
    return tokens


async def test_every_input_has_its_vector_and_the_engine_counts(subject: Subject) -> None:
    asked = Embed(("A kitten sleeps on the sofa.", "A young cat is napping on the couch.", "The tax law changed."))
    deltas = await deltas_of(subject, "three", asked)
    vectors = vectors_of(deltas)
    assert [len(each) for each in vectors] == [DIMENSIONS] * 3
    assert len(set(vectors)) == 3
    assert used(deltas) > 10
    assert isinstance(deltas[-1], UsageReport)


async def test_a_shorter_vector_has_length_1_again(subject: Subject) -> None:
    deltas = await deltas_of(subject, "shorter", Embed(("A kitten sleeps on the sofa.",), dimensions=2))
    (found,) = vectors_of(deltas)
    assert len(found) == 2
    assert sum(each * each for each in found) == pytest.approx(1, abs=1e-6)


async def test_many_vectors_come_in_pieces_that_a_publish_carries(subject: Subject) -> None:
    deltas = await deltas_of(subject, "many", Embed(tuple(f"number {number}" for number in range(MANY))))
    assert len(vectors_of(deltas)) == MANY
    sizes = [len(delta.data) for delta in deltas if isinstance(delta, Vectors)]
    assert max(sizes) < PUBLISH_LIMIT_BYTES / 2
    assert len(sizes) > 1


async def test_an_input_that_is_too_long_is_named_and_nothing_is_cut(subject: Subject) -> None:
    with pytest.raises(ContextLengthExceeded) as raised:
        await deltas_of(subject, "too long", Embed(("word " * 300,)))
    assert raised.value.param == "input"


async def test_tokens_are_taken_as_they_are(subject: Subject) -> None:
    deltas = await deltas_of(subject, "tokens", Embed(((101, 18401, 2361, 102),)))
    assert len(vectors_of(deltas)) == 1
    assert used(deltas) == 4


async def test_closing_the_engine_ends_what_runs_with_an_error(subject: Subject) -> None:
    subject.expect("endless")
    heard = asyncio.Event()

    async def read() -> None:
        async for _ in subject.engine.generate("job-1", LONG):
            heard.set()

    reading = asyncio.create_task(read())
    await subject.begun(heard)
    await subject.engine.close()
    with pytest.raises(PenstockError):
        await asyncio.wait_for(reading, 20)


async def test_cancelling_leaves_the_engine_free(subject: Subject) -> None:
    subject.expect("endless")
    heard = asyncio.Event()

    async def read() -> None:
        async for _ in subject.engine.generate("job-1", LONG):
            heard.set()

    reading = asyncio.create_task(read())
    await subject.begun(heard)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(20):
        await deltas_of(subject, "three", Embed(("One.", "Two.", "Three.")))
