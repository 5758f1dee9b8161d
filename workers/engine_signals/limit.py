"""How many jobs a worker gives an engine at once, judged by what the engine tells of itself.

Several workers share an engine and know nothing of each other, but all read the same gauges. Each adds as much as the
others do while nothing waits there, and takes away its own part of what is too much, so their shares draw together.
"""

from typing import Final

from workers.engine_signals.reading import Reading

FIRST: Final = 4
"""What an engine is given that has told nothing yet; doubled at every look until something waits in it."""

STEP_SHARE: Final = 16
"""One for so many that run may wait inside the engine, which then fills its batch at once."""

CALM_LOOKS: Final = 4
"""After so many looks in a row with nothing waiting it was cut too far, or there are more replicas: it grows faster."""

FASTER_SHARE: Final = 4

FULL_CACHE: Final = 0.95
"""Above it vLLM is about to put running requests back, to have room for the others."""


class Limit:
    """`count` is never less than 1, or nothing would show that there is room again, and never more than `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = float(min(FIRST, most))
        self._hoped = most
        self._doubles = True
        self._calm = 0
        self._last: Reading | None = None
        self._dark = False

    @property
    def count(self) -> int:
        return int(self._count)

    @property
    def hoped(self) -> int:
        """What it may double to for all that is known: as much as there was before a rest, or the most there may be."""
        return max(self.count, self._hoped) if self._doubles and not self._dark else self.count

    @property
    def doubles(self) -> bool:
        return self._doubles

    def look(self, reading: Reading, held: int, *, used_up: bool, refused: int = 0) -> int:
        """The limit from now on.

        `held` are the jobs this worker has there now, `refused` those it turned away since the last look; `used_up`
        says whether the limit was reached. A reading that is no news changes nothing.
        """
        waiting = reading.waiting + refused
        news, self._last = refused > 0 or reading != self._last, reading
        if self._dark:
            self._dark, self._doubles = False, False
        if not news:
            return self.count
        self._calm = 0 if waiting else self._calm + 1
        self._doubles = self._doubles and not waiting
        if waiting > _step(reading):
            self._count = min(self._count, held * reading.running / (reading.running + waiting))
        elif used_up and not refused and reading.cache_share < FULL_CACHE:
            self._count += self._growth(_step(reading))
        self._count = max(1.0, min(self._count, float(self._most)))
        return self.count

    def look_in_the_dark(self, held: int, *, used_up: bool, refused: int = 0) -> int:
        """The limit where the engine tells nothing: all there may be, less what it turns away."""
        if not self._dark:
            self._dark, self._count = True, float(self._most)
        if refused:
            self._count = max(1.0, min(self._count, float(held - refused)))
        elif used_up:
            self._count = min(float(self._most), self._count + max(1, self.count // STEP_SHARE))
        return self.count

    def rest(self, held: int) -> int:
        """The limit after a time in which it was not reached: who comes with much is to find out anew how much fits."""
        if not self._dark:
            self._hoped = self.hoped
            self._count = min(self._count, max(float(FIRST), 2.0 * held))
            self._doubles = True
        return self.count

    def _growth(self, step: int) -> int:
        if self._doubles:
            return self.count
        return max(step, self.count // FASTER_SHARE) if self._calm >= CALM_LOOKS else step


def _step(reading: Reading) -> int:
    """How many may wait inside the engine, and how many are added at a time: the same for all who look."""
    return max(1, reading.running // STEP_SHARE)
