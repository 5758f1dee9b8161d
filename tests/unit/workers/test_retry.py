"""When an engine is asked again, as a table, and that the asking keeps to it."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from schemas.chat import Chat
from schemas.chunks import Delta, Finish, TextDelta, UsageReport
from schemas.errors import (
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
    RateLimited,
    StreamCut,
)
from schemas.usage import Usage
from workers.retry import NO_RETRY, RetryDecision, decide, generate_with_retries

CHAT = Chat(())
WHOLE: list[list[Delta]] = [[TextDelta("a")], [TextDelta("b"), Finish("stop")]]


def unavailable(retry_after_s: float | None = None) -> EngineUnavailable:
    return EngineUnavailable("busy", retry_after_s=retry_after_s)


@pytest.mark.parametrize(
    ("error", "attempt", "remaining_s", "random", "decision"),
    [
        (unavailable(), 1, 600, 0.0, RetryDecision(True, 0.25)),
        (unavailable(), 2, 600, 0.0, RetryDecision(True, 0.5)),
        (unavailable(), 3, 600, 0.0, RetryDecision(True, 1.0)),
        (unavailable(), 6, 600, 0.0, RetryDecision(True, 8.0)),
        (unavailable(), 9, 600, 0.0, RetryDecision(True, 8.0)),
        (unavailable(), 3, 600, 0.5, RetryDecision(True, 0.875)),
        (RateLimited("slow"), 1, 600, 0.0, RetryDecision(True, 0.25)),
        (unavailable(), 10, 600, 0.0, NO_RETRY),
        (unavailable(), 1, 0.25, 0.0, NO_RETRY),
        (unavailable(), 1, 0.26, 0.0, RetryDecision(True, 0.25)),
        (unavailable(), 1, -5, 0.0, NO_RETRY),
        (unavailable(20.0), 1, 600, 0.0, RetryDecision(True, 20.0)),
        (unavailable(20.0), 1, 600, 0.5, RetryDecision(True, 22.5)),
        (unavailable(0.0), 1, 600, 0.5, RetryDecision(True, 0.0)),
        (unavailable(20.0), 1, 19, 0.0, NO_RETRY),
        (StreamCut("cut"), 1, 600, 0.0, RetryDecision(True, 0.25)),
        (EngineRejected("key"), 1, 600, 0.0, NO_RETRY),
        (InvalidRequest("bad"), 1, 600, 0.0, NO_RETRY),
    ],
)
def test_decide(error: PenstockError, attempt: int, remaining_s: float, random: float, decision: RetryDecision) -> None:
    assert decide(error, attempt, 10, remaining_s, random) == decision


class Scripted:
    """An engine whose tries are written down: batches, and the error that ends them."""

    def __init__(self, *tries: tuple[list[list[Delta]], PenstockError | None]) -> None:
        self._tries = list(tries)
        self.asked = 0
        self.closed = 0

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        batches, error = self._tries[self.asked]
        self.asked += 1
        try:
            for batch in batches:
                yield batch
            if error is not None:
                raise error
        finally:
            self.closed += 1

    async def close(self) -> None: ...


def soon_ms(seconds: float = 60) -> int:
    return int((time.time() + seconds) * 1000)


async def collect(engine: Scripted, attempts: int = 3, deadline_ms: int | None = None) -> list[Sequence[Delta]]:
    deadline_ms = deadline_ms or soon_ms()
    stream = generate_with_retries(engine, "job", CHAT, attempts=attempts, deadline_ms=deadline_ms)
    return [batch async for batch in stream]


async def test_a_failure_before_the_first_batch_is_tried_again() -> None:
    engine = Scripted(([], unavailable(0.0)), ([], unavailable(0.0)), (WHOLE, None))
    assert await collect(engine) == WHOLE
    assert engine.asked == engine.closed == 3


async def test_after_the_first_batch_nothing_is_repeated() -> None:
    engine = Scripted((WHOLE[:1], unavailable(0.0)), (WHOLE, None))
    with pytest.raises(EngineUnavailable):
        await collect(engine)
    assert engine.asked == 1


async def test_a_stream_cut_before_any_output_is_tried_again_and_after_some_it_is_not() -> None:
    counted: list[Delta] = [UsageReport(Usage(7, 0))]
    engine = Scripted(([counted], StreamCut("cut")), (WHOLE[:1], StreamCut("cut")), (WHOLE, None))
    with pytest.raises(StreamCut):
        await collect(engine)
    assert engine.asked == 2


async def test_a_count_of_the_prompt_is_not_yet_an_answer() -> None:
    counted: list[Delta] = [UsageReport(Usage(7, 0))]
    engine = Scripted(([counted], unavailable(0.0)), ([counted, *WHOLE], None))
    assert await collect(engine) == [counted, counted, *WHOLE]


async def test_the_last_attempts_error_is_the_answer() -> None:
    engine = Scripted(([], unavailable(0.0)), ([], EngineUnavailable("still busy", retry_after_s=0.0)))
    with pytest.raises(EngineUnavailable, match="still busy"):
        await collect(engine, attempts=2)


async def test_no_wait_reaches_past_the_deadline() -> None:
    engine = Scripted(([], unavailable(30.0)))
    with pytest.raises(EngineUnavailable):
        await collect(engine, deadline_ms=soon_ms(10))
    assert engine.asked == 1


async def test_each_retry_is_told() -> None:
    engine, told = Scripted(([], unavailable(0.0)), (WHOLE, None)), []
    stream = generate_with_retries(
        engine, "job", CHAT, attempts=3, deadline_ms=soon_ms(), on_retry=lambda error, wait_s: told.append(error.code)
    )
    assert [batch async for batch in stream] == WHOLE
    assert told == ["engine_unavailable"]


async def test_closing_closes_the_engines_generator() -> None:
    engine = Scripted((WHOLE, None))
    async with aclosing(generate_with_retries(engine, "job", CHAT, attempts=1, deadline_ms=soon_ms())) as stream:
        assert await anext(stream) == WHOLE[0]
        assert engine.closed == 0
    assert engine.closed == 1
