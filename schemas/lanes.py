"""What a worker tells every ingress about its lane, so that overload is shed at the door."""

from typing import Final

import msgspec

LANES_CHANNEL: Final = "penstock:lanes"
"""Redis channel of the reports."""

REPORT_S: Final = 1.0


class LaneReport(msgspec.Struct, frozen=True, array_like=True):
    """One worker on one lane.

    `slots` are those that there are, or may be in a second for all that is known. `lag` counts jobs that wait for one,
    and `ended_per_s` is how many would end if all were taken. `full_models` are those whose engine is so full that the
    lane's other models wait for it.
    """

    lane: str
    worker: str
    slots: int
    running: int
    lag: int
    ended_per_s: float
    full_models: tuple[str, ...] = ()
