"""What a worker tells every ingress about its lane, so that overload is shed at the door."""

from typing import Final

import msgspec

LANES_CHANNEL: Final = "penstock:lanes"
"""Redis channel of the reports."""

REPORT_S: Final = 1.0


class LaneReport(msgspec.Struct, frozen=True, array_like=True):
    """One worker on one lane; `lag` counts messages nobody has taken, `ended_per_s` the jobs it ends."""

    lane: str
    worker: str
    slots: int
    running: int
    lag: int
    ended_per_s: float
