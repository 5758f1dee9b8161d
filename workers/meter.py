"""What is billed for a run: what the engine counted, or what was seen of it when it was cut off."""

from collections.abc import Sequence

import msgspec

from schemas.chunks import Delta, Finish, UsageReport
from schemas.jobs import Asked
from schemas.usage import End, Usage
from workers.estimate import estimated_input_tokens

MOST_TOKENS = 2**40
"""More than any engine counts for one job; its price still fits 64 bits."""


class Meter:
    """Follows one attempt's deltas."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._report: Usage | None = None
        self.deltas = 0

    def add(self, batch: Sequence[Delta]) -> None:
        for delta in batch:
            if isinstance(delta, UsageReport):
                self._report = _plausible(delta.usage)
            elif not isinstance(delta, Finish):
                self.deltas += 1

    @property
    def output_tokens(self) -> int:
        return self._report.output_tokens if self._report is not None else self.deltas

    def usage(self, end: End) -> Usage:
        """Nothing before the first output, unless the engine completed without any."""
        if self._report is not None and (end == "completed" or self.deltas or self._report.output_tokens):
            return self._report
        if self.deltas == 0:
            return Usage()
        return Usage(input_tokens=estimated_input_tokens(self._asked), output_tokens=self.deltas, estimated=True)


def _plausible(usage: Usage) -> Usage:
    """An engine that miscounts is billed for within reason: no ledger and no counter takes such numbers."""
    counts = {name: getattr(usage, name) for name in usage.__struct_fields__}
    wrong = {name: min(max(0, count), MOST_TOKENS) for name, count in counts.items() if not 0 <= count <= MOST_TOKENS}
    return msgspec.structs.replace(usage, **wrong) if wrong else usage
