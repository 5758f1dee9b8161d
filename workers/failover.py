"""Asking one model after the other until one begins to answer."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from schemas.chunks import Delta
from schemas.errors import EngineFailed, PenstockError
from schemas.usage import Price
from workers.engine import Engine
from workers.retry import generate_with_retries, has_output

Asks = TypeVar("Asks")


@dataclass(frozen=True, slots=True)
class Candidate(Generic[Asks]):
    """A model that may answer a job: what it runs on, how often that is tried, what it costs.

    `prepare` makes of what was asked what its engine is to get.
    """

    model: str
    engine: Engine[Asks, Delta]
    tries: int
    price: Price
    prepare: Callable[[Asks], Awaitable[Asks]]


Retried = Callable[[Candidate[Any], PenstockError, float], None]
Switched = Callable[[Candidate[Any], PenstockError], None]


async def generate_with_failover(
    candidates: Sequence[Candidate[Asks]],
    job_id: str,
    asked: Asks,
    *,
    deadline_ms: int,
    on_retry: Retried,
    on_switch: Switched,
) -> AsyncGenerator[Sequence[Delta], None]:
    """The batches of the first candidate that gives any.

    The next one is asked after every failure of an engine that comes before its first output and after its own tries:
    not answering, refusing the platform, answering with what is no answer. What the caller did wrong is wrong for all,
    and after some output there is no other model. `on_switch` is told who now answers, before its first output, and
    why not the one before. When none answers, the error is that of the first, which is the one that was asked.
    """
    first: EngineFailed | None = None
    why: PenstockError | None = None
    for candidate in candidates:
        begun = False
        try:
            batches = generate_with_retries(
                candidate.engine,
                job_id,
                await candidate.prepare(asked),
                attempts=candidate.tries,
                deadline_ms=deadline_ms,
                on_retry=partial(on_retry, candidate),
            )
            async with aclosing(batches):
                async for batch in batches:
                    if not begun and has_output(batch):
                        begun = True
                        if why is not None:
                            on_switch(candidate, why)
                    yield batch
            return
        except EngineFailed as error:
            if begun:
                raise
            first, why = first or error, error
        except PenstockError:
            if begun or first is None:
                raise
            # A fallback finds the request wrong, which the model that was asked did not get to say.
            break
    assert first is not None, "there is at least one candidate"
    raise first
