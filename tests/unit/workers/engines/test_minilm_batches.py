"""What is computed together, and in which order."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import pytest

from schemas.errors import EngineFailed
from workers.engines.minilm_batches import Batches, Ids

MOST_TOKENS = 10


class Model:
    """Gives each input back as its vector, and keeps what came together; the first batch waits for `go`."""

    def __init__(self) -> None:
        self.batches: list[list[Ids]] = []
        self.began = threading.Event()
        self.go = threading.Event()

    def compute(self, inputs: Sequence[Ids]) -> list[bytes]:
        self.batches.append(list(inputs))
        self.began.set()
        assert self.go.wait(20)
        if any(255 in each for each in inputs):
            raise RuntimeError("255")
        return [bytes(each) for each in inputs]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def batches(model: Model) -> AsyncIterator[Batches]:
    made = Batches("m", model.compute, MOST_TOKENS)
    yield made
    model.go.set()
    await made.close()


async def vectors(batches: Batches, *inputs: Ids) -> list[bytes]:
    return [vector async for found in batches.vectors(inputs) for vector in found]


async def computing(batches: Batches, model: Model) -> "asyncio.Task[list[bytes]]":
    """A first job, which is being computed when this returns."""
    first = asyncio.create_task(vectors(batches, [1]))
    assert await asyncio.to_thread(model.began.wait, 20)
    return first


async def test_one_alone_does_not_wait_for_others(batches: Batches, model: Model) -> None:
    model.go.set()
    assert await vectors(batches, [1, 2], [3]) == [b"\x01\x02", b"\x03"]
    assert model.batches == [[[1, 2], [3]]]


async def test_what_comes_while_a_batch_is_computed_is_the_next(batches: Batches, model: Model) -> None:
    first = await computing(batches, model)
    others = [asyncio.create_task(vectors(batches, [number])) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    model.go.set()
    assert await asyncio.gather(first, *others) == [[b"\x01"], [b"\x02"], [b"\x03"], [b"\x04"]]
    assert model.batches == [[[1]], [[2], [3], [4]]]


async def test_a_large_job_does_not_hold_up_a_small_one(batches: Batches, model: Model) -> None:
    first = await computing(batches, model)
    large = asyncio.create_task(vectors(batches, *[[2, 2, 2, 2]] * 4))
    small = asyncio.create_task(vectors(batches, [3, 3]))
    await asyncio.sleep(0)
    model.go.set()
    assert await asyncio.gather(first, large, small) == [[b"\x01"], [b"\x02\x02\x02\x02"] * 4, [b"\x03\x03"]]
    assert model.batches[1] == [[2, 2, 2, 2], [3, 3], [2, 2, 2, 2]]
    assert [len(batch) for batch in model.batches] == [1, 3, 2]


async def test_an_input_larger_than_a_batch_is_one(batches: Batches, model: Model) -> None:
    model.go.set()
    long = [1] * (MOST_TOKENS + 1)
    assert await vectors(batches, long, [2]) == [bytes(long), b"\x02"]
    assert [len(batch) for batch in model.batches] == [1, 1]


async def test_who_leaves_takes_back_what_waits(batches: Batches, model: Model) -> None:
    first = await computing(batches, model)
    leaving = asyncio.create_task(vectors(batches, [9, 9]))
    staying = asyncio.create_task(vectors(batches, [3]))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    model.go.set()
    assert await asyncio.gather(first, staying) == [[b"\x01"], [b"\x03"]]
    assert model.batches == [[[1]], [[3]]]


async def test_a_failure_is_for_those_in_the_batch_and_the_next_is_computed(batches: Batches, model: Model) -> None:
    first = await computing(batches, model)
    failing = asyncio.create_task(vectors(batches, [255] * 8, [1], [2, 2]))
    staying = asyncio.create_task(vectors(batches, [3, 3, 3]))
    await asyncio.sleep(0)
    model.go.set()
    with pytest.raises(EngineFailed) as raised:
        await failing
    assert isinstance(raised.value.__cause__, RuntimeError)
    assert await asyncio.gather(first, staying) == [[b"\x01"], [b"\x03\x03\x03"]]
