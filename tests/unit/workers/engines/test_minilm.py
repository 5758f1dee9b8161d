"""The embedded model itself: its vectors beside the reference, its length, its files."""

import struct
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, EngineUnavailable, InvalidValue
from schemas.media import Embed
from schemas.media_chunks import Vectors
from storage.catalog import load_catalog
from workers.engines.setup import SetupError

pytest.importorskip("onnxruntime")

from workers.engines.minilm import MiniLM
from workers.engines.minilm_model import runs

SAID: Final = ("A kitten sleeps on the sofa.", "A young cat is napping on the couch.", "The tax law changed in 1998.")
REFERENCE: Final = ([0.6858, 0.1324], 0.1207)
"""How alike the first is to each of the others, and these to one another, by the published weights in float32
(transformers, mean pooling, 2026-11)."""
REFERENCE_TOKENS: Final = 9 + 12 + 9
INT8: Final = 0.01
"""What rounding the weights to 8 bits may change in them."""


def row(**fields: Any) -> Model:
    built_in = load_catalog([]).find("all-minilm-l6-v2")
    return Model.model_validate({**built_in.model_dump(exclude_unset=True), **fields})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[MiniLM]:
    made = MiniLM(row(), None)
    await made.start()
    yield made
    await made.close()


async def embed(engine: MiniLM, *inputs: str | tuple[int, ...]) -> tuple[list[tuple[float, ...]], int]:
    found: list[tuple[float, ...]] = []
    tokens = 0
    async for batch in engine.generate("job-1", Embed(inputs)):
        for delta in batch:
            if isinstance(delta, Vectors):
                found += struct.Struct(f"<{delta.dimensions}f").iter_unpack(delta.data)
            elif isinstance(delta, UsageReport):
                tokens = delta.usage.input_tokens
    return found, tokens


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


@pytest.mark.asyncio(loop_scope="module")
async def test_it_finds_alike_what_the_published_model_does(engine: MiniLM) -> None:
    (kitten, cat, tax), tokens = await embed(engine, *SAID)
    assert [cosine(kitten, cat), cosine(kitten, tax)] == pytest.approx(REFERENCE[0], abs=INT8)
    assert cosine(cat, tax) == pytest.approx(REFERENCE[1], abs=INT8)
    assert tokens == REFERENCE_TOKENS


@pytest.mark.asyncio(loop_scope="module")
async def test_a_vector_does_not_depend_on_its_company(engine: MiniLM) -> None:
    (alone,), _ = await embed(engine, SAID[0])
    (with_others, *_), _ = await embed(engine, SAID[0], "word " * 200, *SAID[1:], "a")
    assert with_others == pytest.approx(alone, abs=1e-5)
    assert cosine(alone, alone) == pytest.approx(1, abs=1e-5)


@pytest.mark.asyncio(loop_scope="module")
async def test_it_reads_256_tokens_with_the_two_marks_and_no_more(engine: MiniLM) -> None:
    _, tokens = await embed(engine, "word " * 254)
    assert tokens == 256
    with pytest.raises(ContextLengthExceeded, match="has 257") as raised:
        await embed(engine, "fits", "word " * 255)
    assert raised.value.param == "input[1]"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_that_there_is_not_is_refused(engine: MiniLM) -> None:
    with pytest.raises(InvalidValue) as raised:
        await embed(engine, (101, 30522))
    assert raised.value.param == "input"


async def test_once_it_is_closed_it_is_not_there() -> None:
    engine = MiniLM(row(), None)
    await engine.start()
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await embed(engine, "a")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"engine_options": {"model_path": "/gone.onnx"}}, "no file /gone.onnx"),
        ({"engine_options": {"tokenizer_path": "/gone.json"}}, "tokenizer could not be read"),
        ({"engine_options": {"thread": 1}}, "thread"),
        ({"embedding": {"dimensions": 512, "max_input_tokens": 256}}, "384 dimensions, not 512"),
        ({"embedding": {"dimensions": 384, "max_input_tokens": 1024}}, "positions for 512"),
    ],
)
async def test_a_row_that_cannot_be_served_says_why_in_one_line(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(SetupError) as raised:
        await MiniLM(row(**fields), None).start()
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


async def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"none")
    with pytest.raises(SetupError, match=r"could not load .*model\.onnx"):
        await MiniLM(row(engine_options={"model_path": str(file)}), None).start()


def test_runs_hold_little_else_than_tokens() -> None:
    lengths = [10] * 8 + [11] * 8 + [100] * 2 + [200]
    found = list(runs(range(len(lengths)), lengths))
    assert [number for run in found for number in run] == list(range(len(lengths)))
    assert [[lengths[number] for number in run] for run in found] == [[10] * 8 + [11] * 8, [100] * 2, [200]]


def test_a_run_is_bounded() -> None:
    assert [len(run) for run in runs(range(10), [256] * 10)] == [4, 4, 2]


def test_short_inputs_share_a_run_although_they_are_filled_up() -> None:
    assert list(runs(range(3), [3, 10, 20])) == [[0, 1, 2]]
