"""What every provider's stream of server-sent events has in common, whatever its events say."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from schemas.errors import EngineFailed, PenstockError, StreamCut
from workers.engines.sse import EventData

Gives = TypeVar("Gives")


class EventStream(ABC, Generic[Gives]):
    """Folds one response; `finished` once it has its end, `done` once nothing more will come.

    What went wrong stands in `failure` and is to be raised after the deltas that came before it have been passed on.
    """

    __slots__ = ("_events", "_model", "_secret", "done", "failure", "finished", "heard")

    def __init__(self, model: str, secret: str | None) -> None:
        self._model = model
        self._secret = secret
        self._events = EventData()
        self.heard = False
        self.finished = False
        self.done = False
        self.failure: PenstockError | None = None

    def feed(self, data: bytes) -> list[Gives]:
        """All deltas of the events that these bytes complete."""
        try:
            events = self._events.feed(data)
        except EngineFailed as exc:
            self.failure = exc
            return []
        return self._fold(events) if events else []

    def end(self) -> list[Gives]:
        """The same for the end of the bytes, after which the stream is done or has a failure."""
        deltas = self._fold(self._events.end())
        if type(self.failure) is EngineFailed:
            # Half an event is what a stream that was cut ends with.
            self.failure = None
        self._stop()
        return deltas

    def cut(self, how: str) -> StreamCut:
        return StreamCut(f"The engine of model '{self._model}' {how} before it had finished.")

    def _stop(self) -> None:
        self.done = True
        if self.failure is None and not self.finished:
            self.failure = self.cut("ended its stream")

    @abstractmethod
    def _fold(self, events: list[bytes]) -> list[Gives]: ...
