"""How many jobs each engine of a lane is given at once, and the lane with them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from schemas.catalog import Model
from workers.engine import Bounded, Engine
from workers.engine_signals.following import Following
from workers.engine_signals.limit import Limit
from workers.engine_signals.pages import Pages, pages_of
from workers.leftover import Lane
from workers.shared_slots import SharedSlots
from workers.slots import Slots


def lane_slots(
    models: Sequence[Model], engines: Mapping[str, Engine[Any, Any]], most: int
) -> tuple[Lane, dict[str, Following]]:
    """A lane's slots, and what keeps those of some models at what their engines can run.

    A row that says how many, an engine that is bounded or one that tells how it stands has slots of its own; the others
    of a lane share `most`. Where all of them have the same, they are the lane's.
    """
    returned = asyncio.Event()
    shared = Slots(most, returned)
    by_model: dict[str, Slots] = {}
    following: dict[str, Following] = {}
    for model in models:
        engine = engines[model.id]
        if model.engine == "vllm" or pages_of(model):
            slots = Slots(most, returned)
            following[model.id] = Following(model.id, slots, Limit(model.slots or most), Pages(model))
        elif model.slots is not None:
            slots = Slots(model.slots, returned)
        else:
            slots = Slots(engine.slots, returned) if isinstance(engine, Bounded) else shared
        by_model[model.id] = slots
    # A lane without a row here, as after its last one was taken away, has jobs to be answered all the same.
    each = set(by_model.values()) or {shared}
    return (each.pop() if len(each) == 1 else SharedSlots(by_model, returned)), following
