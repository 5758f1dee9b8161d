from typing import Any

from schemas.catalog import Model
from workers.engine_signals.limit import FIRST
from workers.lane_slots import lane_slots
from workers.shared_slots import SharedSlots
from workers.slots import Slots

MOST = 100


class Remote:
    """An engine that sets no bound."""

    def generate(self, job_id: str, asked: Any, /) -> Any:
        raise AssertionError("nobody asks it")

    async def close(self) -> None: ...


class Inside(Remote):
    slots = 3


def row(name: str, engine: str = "openai_compatible", **fields: Any) -> Model:
    given = {"id": name, "engine": engine, "context_tokens": 100, "max_output_tokens": 10}
    address = {} if engine == "llama_cpp" else {"base_url": "http://host:8000/v1"}
    return Model.model_validate({**given, **address, **fields})


def slots_of(*rows: Model) -> tuple[Slots | SharedSlots, set[str]]:
    engines = {model.id: Inside() if model.engine == "llama_cpp" else Remote() for model in rows}
    slots, following = lane_slots(rows, engines, MOST)
    assert isinstance(slots, Slots | SharedSlots)
    return slots, set(following)


async def test_rows_that_say_nothing_share_the_lane_s() -> None:
    slots, following = slots_of(row("a"), row("b"))
    assert isinstance(slots, Slots)
    assert (slots.count, following) == (MOST, set())


async def test_a_lane_of_one_engine_has_its_slots() -> None:
    for model, count in ((row("a", "llama_cpp"), 3), (row("a", slots=7), 7), (row("a", "vllm"), FIRST)):
        slots, _ = slots_of(model)
        assert isinstance(slots, Slots)
        assert slots.count == count


async def test_each_engine_of_a_lane_has_its_own() -> None:
    slots, following = slots_of(row("a", "vllm"), row("b", "llama_cpp"), row("c", slots=7), row("d"), row("e"))
    assert isinstance(slots, SharedSlots)
    assert slots.count == FIRST + 3 + 7 + MOST
    assert following == {"a"}


async def test_a_row_that_names_metrics_is_followed_up_to_its_slots() -> None:
    slots, following = slots_of(row("a", metrics=[["http://host:8000/metrics"]], slots=2))
    assert (slots.count, following) == (2, {"a"})


async def test_a_row_s_slots_come_before_its_engine_s() -> None:
    slots, _ = slots_of(row("a", "llama_cpp", slots=1))
    assert slots.count == 1


async def test_a_lane_without_a_row_here_answers_what_is_in_it() -> None:
    """A worker may be told of a lane that its catalogue no longer has; its jobs end there, as those of no model."""
    slots, following = slots_of()
    assert (slots.count, slots.free, following) == (MOST, MOST, set())
