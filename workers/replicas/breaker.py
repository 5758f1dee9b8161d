"""Whether a replica may be asked: closed while it answers, open once it does not, half open while one request tries."""

from collections import deque
from typing import Final, Literal

State = Literal["closed", "half_open", "open"]

CONSECUTIVE: Final = 3
"""Failures in a row that open it: one may be the request's own doing, three are the replica's."""

WINDOW_S: Final = 30.0
WINDOW_RESULTS: Final = 20
WINDOW_SHARE: Final = 0.5
"""Or this share of failures among the results of the last WINDOW_S, once there are WINDOW_RESULTS of them."""

FIRST_OPEN_S: Final = 1.0
LONGEST_OPEN_S: Final = 60.0
"""How long it stays open: twice as long after every trial that failed."""

PROBES: Final = 2
"""Probes in a row that open it; one may have come upon a busy moment."""


class Breaker:
    """All times are a monotonic clock's, in seconds, and are told: it looks at no clock.

    What a probe says and what requests say are two things: a replica that answers nonsense may say that it is well, and
    one whose health cannot be told may answer.
    """

    def __init__(self) -> None:
        self.state: State = "closed"
        self._on_probation = False
        self._in_a_row = 0
        self._results: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._open_s = FIRST_OPEN_S
        self._until = 0.0
        self._probes_failed = 0

    @property
    def unwell(self) -> bool:
        """Whether its probes fail."""
        return self._probes_failed >= PROBES

    def may_try(self, now: float) -> bool:
        """Whether an open one has waited long enough for a request to find out, and no probe speaks against it."""
        return self.state != "closed" and now >= self._until and not self.unwell

    def tries(self) -> None:
        """A request goes to one that is not closed."""
        self.state = "half_open"

    def untried(self) -> None:
        """That request ended before it found anything out."""
        if self.state == "half_open":
            self.state = "open"

    def begun(self) -> None:
        """A request has output: what was open is closed, on probation until one has ended well.

        Not while probes fail: what ends well at an address that is being taken out is to bring nothing more there.
        """
        if self.state != "closed":
            self._on_probation = not self.unwell
            self.state = "open" if self.unwell else "closed"

    def succeeded(self, now: float) -> None:
        """A request ended well, or was refused for what is wrong with it."""
        self.begun()
        self._on_probation = False
        self._in_a_row = 0
        self._open_s = FIRST_OPEN_S
        self._note(now, failed=False)

    def failed(self, now: float) -> None:
        """A request ended with no answer, or with none that can be read."""
        if self.state == "open":
            # What began before it was opened tells nothing new.
            return
        if self.state == "half_open" or self._on_probation:
            self._open_s = min(LONGEST_OPEN_S, 2 * self._open_s)
            self._open(now)
            return
        self._in_a_row += 1
        self._note(now, failed=True)
        mostly = len(self._results) >= WINDOW_RESULTS and self._failures >= WINDOW_SHARE * len(self._results)
        if self._in_a_row >= CONSECUTIVE or mostly:
            self._open(now)

    def probed(self, well: bool, now: float) -> None:
        """What a probe found; one that finds a replica well again lets a request try at once."""
        if not well:
            self._probes_failed += 1
            if self.unwell and self.state == "closed":
                self._open(now)
            return
        if self.unwell:
            self._until = now
        self._probes_failed = 0

    def _open(self, now: float) -> None:
        self.state = "open"
        self._until = now + self._open_s
        self._on_probation = False
        self._in_a_row = 0
        self._results.clear()
        self._failures = 0

    def _note(self, now: float, *, failed: bool) -> None:
        self._results.append((now, failed))
        self._failures += failed
        while self._results[0][0] < now - WINDOW_S:
            self._failures -= self._results.popleft()[1]
