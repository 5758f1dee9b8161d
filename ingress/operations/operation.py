"""What a door does between a body and its job, and between the job's chunks and a body, whatever carries the two.

An HTTP route and the log's door share it, so the same is refused, reserved and answered at both.
"""

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

from ingress.answer import Fetch, Fold, Keep
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.submission import Submission
from schemas.catalog import Model
from schemas.jobs import Asked, Job
from storage.async_record import AsyncJob


class Asking(Protocol):
    """A request that its model accepts; `tokens` is what to reserve for it."""

    @property
    def model(self) -> Model: ...

    @property
    def work(self) -> Asked: ...

    @property
    def stream(self) -> bool: ...

    @property
    def tokens(self) -> int: ...

    def state(self, job: "Told") -> bytes:
        """What the answer needs to know of the request, for whoever gives it with nothing else in hand."""
        ...


class Told(NamedTuple):
    """What is known of a job when its answer is put together; `state` is what its request left for that."""

    job_id: str
    account: str
    model: str
    accepted_at_ms: int
    state: bytes = b""

    @classmethod
    def of(cls, job: Job, state: bytes = b"") -> "Told":
        return cls(job.id, job.account, job.model, job.accepted_at_ms, state)

    @property
    def created(self) -> int:
        """The second at which the job was accepted, as OpenAI's bodies have it."""
        return self.accepted_at_ms // 1000


class Folding(NamedTuple):
    """An answer in the making.

    `fetch`, if there is one, is awaited with the chunks before they are folded, and `keep` when the answer is complete,
    before it is sent.
    """

    fold: Fold
    keep: Keep | None = None
    fetch: Fetch | None = None


class Operation(NamedTuple):
    """One thing that can be asked; `path` is where HTTP has it, `name` what usage calls it.

    `ask` raises what is wrong with the request, or Undecidable.
    """

    path: str
    name: str
    ask: Callable[[Door, Incoming], Awaitable[Asking]]
    fold: Callable[[Door, Told], Folding]
    stream_parameter: str = "stream"
    """What asks for the answer as it comes."""


class LongAsking(Protocol):
    """A request for long work that its model accepts."""

    @property
    def model(self) -> Model: ...


LongAsked = TypeVar("LongAsked", bound=LongAsking)


class LongOperation(NamedTuple, Generic[LongAsked]):
    """One long thing that can be asked; its answer is the job itself, as it stands at its end."""

    path: str
    name: str
    ask: Callable[[Door, Incoming], Awaitable[LongAsked]]
    start: Callable[[Door, Incoming, LongAsked], Awaitable[tuple[AsyncJob, dict[str, str]]]]


class Done(NamedTuple):
    """What was asked for is there: the status and body that HTTP answers with."""

    status: int
    body: bytes


class DirectOperation(NamedTuple):
    """One thing that a door does itself, without a job; done again under the same number it is the same thing.

    `do` raises what is wrong with the request, or Undecidable.
    """

    path: str
    do: Callable[[Door, Incoming], Awaitable[Done]]


async def submitted(door: Door, asked: Incoming, operation: str, asking: Asking) -> Submission:
    """The job of a request whose answer this process waits for. Raises as `Submitter.submit` does."""
    with door.tracing.span("submit", asked.headers.get("traceparent"), model=asking.model.id) as traceparent:
        return await door.submitter.submit(
            asked.key,
            asking.model,
            asking.work,
            operation=operation,
            stream=asking.stream,
            tokens=asking.tokens,
            traceparent=traceparent,
        )
