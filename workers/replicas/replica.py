"""One address of a model, as this worker knows it: what it has under way there, and whether it may be asked."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Generic, Literal, TypeVar

from schemas.errors import EngineFailed, PenstockError
from workers import metrics
from workers.engine import EngineBusy
from workers.replicas.breaker import Breaker, State
from workers.replicas.waiting import Waiting

Served = TypeVar("Served")
Clock = Callable[[], float]
Result = Literal["answered", "refused", "busy", "failed", "left"]

RESULTS: Final[tuple[Result, ...]] = ("answered", "refused", "busy", "failed", "left")

REST_S: Final = 1.0
"""How long requests go elsewhere after a failure, or after a lack of room that did not say for how long."""

STATES: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}

log = logging.getLogger(__name__)


class Replica(Generic[Served]):
    """`served` is what speaks to the address. `outstanding` are the requests of this worker that are under way there,
    and `work` is what they come to, where a long prompt is more than a short one.

    `clock` is a monotonic one, in seconds, as are all times.
    """

    def __init__(self, model: str, address: str, served: Served, clock: Clock) -> None:
        self.address = address
        self.served = served
        self.outstanding = 0
        self.work = 0.0
        self.waiting = Waiting()
        self.last_failure = ""
        self.failed_at = 0.0
        self._model = model
        self._clock = clock
        self._breaker = Breaker()
        self._rests_until = 0.0
        self._under_way = metrics.REPLICA_OUTSTANDING.labels(model, address)
        self._shown = metrics.REPLICA_STATE.labels(model, address)
        self._shown.set(STATES["closed"])
        self._counted = {each: metrics.REPLICA_REQUESTS.labels(model, address, each) for each in RESULTS}

    @property
    def state(self) -> State:
        """`closed`: requests go there; `open`: none do; `half_open`: one does, on trial."""
        return self._breaker.state

    @property
    def ready(self) -> bool:
        """Whether requests go to it, and it has not just failed one or turned one away."""
        return self._breaker.state == "closed" and self.rests_s == 0

    @property
    def rests_s(self) -> float:
        """How long it is still to be left alone if another can be asked."""
        return max(0.0, self._rests_until - self._clock())

    @property
    def triable(self) -> bool:
        """Whether it is out of order, and a request may find out if it still is."""
        return self._breaker.may_try(self._clock())

    @property
    def unwell(self) -> bool:
        """Whether its probes fail."""
        return self._breaker.unwell

    def probed(self, well: bool, reason: str = "") -> None:
        """`reason` is what the probe met, and is told in the log alone: it names the address."""
        was = self._breaker.state
        self._breaker.probed(well, self._clock())
        self._tell(was, "probe", reason)

    def begun(self) -> None:
        """A request has its first output."""
        was = self._breaker.state
        self._breaker.begun()
        self._tell(was)

    @contextmanager
    def turn(self, work: float) -> Iterator[None]:
        """One request, from its way there to its end, and what is learnt from how it ends."""
        self.outstanding += 1
        self.work += work
        self._under_way.set(self.outstanding)
        if (was := self._breaker.state) != "closed":
            self._breaker.tries()
            self._tell(was)
        result: Result = "left"
        try:
            yield
            result = "answered"
        except PenstockError as error:
            result = result_of(error)
            self._note_failure(error, result)
            raise
        except Exception as error:
            result = "failed"
            self._note_failure(error, result)
            raise
        finally:
            self.outstanding -= 1
            # Sums of fractions do not come back to nothing by themselves.
            self.work = self.work - work if self.outstanding else 0.0
            self._under_way.set(self.outstanding)
            self._learn(result)
            self._counted[result].inc()

    def _note_failure(self, error: Exception, result: Result) -> None:
        if result in ("busy", "failed"):
            wait_s = error.retry_after_s if isinstance(error, PenstockError) else None
            self.failed_at = self._clock()
            self.last_failure = str(error)
            self._rests_until = self.failed_at + (REST_S if wait_s is None else wait_s)

    def _learn(self, result: Result) -> None:
        was = self._breaker.state
        match result:
            case "answered" | "refused":
                self._breaker.succeeded(self._clock())
            case "busy":
                # Who turns requests away is there.
                self._breaker.begun()
            case "failed":
                self._breaker.failed(self._clock())
            case "left":
                self._breaker.untried()
        self._tell(was)

    def _tell(self, was: State, who: str = "request", reason: str | None = None) -> None:
        """Shows and logs what has changed since."""
        now = self._breaker.state
        if now == was:
            return
        self._shown.set(STATES[now])
        fields = {"model": self._model, "address": self.address, "by": who}
        fields["reason"] = self.last_failure if reason is None else reason
        if now == "open":
            log.warning("replica_out" if was == "closed" else "replica_still_out", extra=fields)
        elif now == "closed":
            log.info("replica_back", extra=fields)


def result_of(error: PenstockError) -> Result:
    """What an error says of who gave it: what is wrong with a request is no failure of the replica's."""
    if isinstance(error, EngineBusy):
        return "busy"
    return "failed" if isinstance(error, EngineFailed) else "refused"
