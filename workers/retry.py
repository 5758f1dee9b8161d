"""Whether an engine is asked again, and when; and the asking."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

from schemas.chunks import Delta, UsageReport
from schemas.errors import PenstockError, StreamCut
from workers.engine import Engine

Asks = TypeVar("Asks")

FIRST_WAIT_S: Final = 0.25
LONGEST_WAIT_S: Final = 8.0


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """`wait_s` is 0 where there is no retry."""

    retry: bool
    wait_s: float = 0.0


NO_RETRY: Final = RetryDecision(False)


def decide(error: PenstockError, attempt: int, attempts: int, remaining_s: float, random: float) -> RetryDecision:
    """What to do after try number `attempt`, counted from 1, of at most `attempts`; `random` is from [0, 1).

    Nothing was said yet: a stream that was cut is as good as one that never began, whatever its caller is told later.
    Waits double from FIRST_WAIT_S to LONGEST_WAIT_S, less up to a quarter by chance. An engine that said how long to
    wait is asked no earlier than that, and up to a quarter later by chance, so that those it turned away together do
    not come back together. A wait that would not end before the deadline is no retry.
    """
    if not (error.retryable or isinstance(error, StreamCut)) or attempt >= attempts:
        return NO_RETRY
    if error.retry_after_s is not None:
        wait_s = error.retry_after_s * (1 + random / 4)
    else:
        wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (attempt - 1)) * (1 - random / 4)
    return RetryDecision(True, wait_s) if wait_s < remaining_s else NO_RETRY


def has_output(batch: Sequence[Delta]) -> bool:
    """Whether the client would see something of it; some engines count the prompt before they say anything."""
    return any(not isinstance(delta, UsageReport) for delta in batch)


async def generate_with_retries(
    engine: Engine[Asks, Delta],
    job_id: str,
    asked: Asks,
    *,
    attempts: int,
    deadline_ms: int,
    on_retry: Callable[[PenstockError, float], None] | None = None,
) -> AsyncGenerator[Sequence[Delta], None]:
    """The engine's batches; before the first with output, a failure that may pass is tried again.

    `deadline_ms` is since the epoch, as in the envelope. `on_retry` is told the error and the wait in seconds.
    Closing this generator closes the engine's.
    """
    attempt = 0
    while True:
        attempt += 1
        begun = False
        try:
            async with aclosing(engine.generate(job_id, asked)) as batches:
                async for batch in batches:
                    begun = begun or has_output(batch)
                    yield batch
            return
        except PenstockError as error:
            decision = NO_RETRY
            if not begun:
                decision = decide(error, attempt, attempts, deadline_ms / 1000 - time.time(), random.random())
            if not decision.retry:
                raise
            if on_retry is not None:
                on_retry(error, decision.wait_s)
        await asyncio.sleep(decision.wait_s)
