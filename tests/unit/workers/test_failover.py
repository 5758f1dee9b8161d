"""Which model answers when others cannot."""

from collections.abc import AsyncGenerator, Sequence

import pytest

from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, TextDelta, UsageReport
from schemas.errors import (
    ContextLengthExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
    StreamCut,
)
from schemas.usage import Price, Usage
from workers.failover import Candidate, generate_with_failover

CHAT = Chat((Message("user", (Text("Hello"),)),))
NEVER_MS = 2**60


class Engine:
    """Says its words, then raises its failure."""

    def __init__(self, *words: str, failure: PenstockError | None = None) -> None:
        self._words = words
        self._failure = failure
        self.asked: list[Chat] = []
        self.closed = 0

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        self.asked.append(chat)
        try:
            for word in self._words:
                yield [TextDelta(word)]
            if self._failure is not None:
                raise self._failure
        finally:
            self.closed += 1

    async def close(self) -> None:
        pass


async def as_it_is(chat: Chat) -> Chat:
    return chat


class Run:
    """What came of asking these engines in turn, each twice at most."""

    def __init__(self, *engines: Engine) -> None:
        self.candidates = [
            Candidate(f"m{number}", engine, 2, Price(number), as_it_is) for number, engine in enumerate(engines)
        ]
        self.said: list[str] = []
        self.switches: list[tuple[str, str, list[str]]] = []
        self.retries: list[str] = []

    async def ask(self, chat: Chat = CHAT) -> PenstockError | None:
        batches = generate_with_failover(
            self.candidates,
            "job_1",
            chat,
            deadline_ms=NEVER_MS,
            on_retry=lambda asked, error, wait_s: self.retries.append(asked.model),
            on_switch=lambda answering, why: self.switches.append((answering.model, why.code, list(self.said))),
        )
        try:
            async for batch in batches:
                self.said += [delta.text for delta in batch if isinstance(delta, TextDelta)]
        except PenstockError as error:
            return error
        return None


def unavailable() -> EngineUnavailable:
    return EngineUnavailable("busy", retry_after_s=0)


async def test_who_answers_is_asked_alone() -> None:
    second = Engine("b")
    run = Run(Engine("a"), second)
    assert await run.ask() is None
    assert (run.said, run.switches, second.asked) == (["a"], [], [])


@pytest.mark.parametrize(
    ("failure", "tries"), [(EngineRejected("no key"), 1), (EngineFailed("no stream"), 1), (StreamCut("cut"), 2)]
)
async def test_a_failure_before_the_first_chunk_is_followed_by_the_next_model(
    failure: PenstockError, tries: int
) -> None:
    first, second = Engine(failure=failure), Engine("b", "c")
    run = Run(first, second)
    assert await run.ask() is None
    assert run.said == ["b", "c"]
    assert run.switches == [("m1", failure.code, [])]
    assert (len(first.asked), first.closed) == (tries, tries)


async def test_a_failure_that_may_pass_is_tried_as_often_as_its_row_says_before_the_next_model() -> None:
    first, second = Engine(failure=unavailable()), Engine("b")
    run = Run(first, second)
    assert await run.ask() is None
    assert (len(first.asked), run.retries) == (2, ["m0"])
    assert run.switches == [("m1", "engine_unavailable", [])]


async def test_after_the_first_chunk_nobody_else_is_asked() -> None:
    cut = StreamCut("cut")
    second = Engine("b")
    run = Run(Engine("a", failure=cut), second)
    assert await run.ask() is cut
    assert (run.said, run.switches, second.asked) == (["a"], [], [])


async def test_the_next_but_one_is_asked_when_the_next_cannot_either() -> None:
    run = Run(Engine(failure=EngineRejected("a")), Engine(failure=StreamCut("b")), Engine("c"))
    assert await run.ask() is None
    assert run.switches == [("m2", "stream_cut", [])]


async def test_a_fallback_that_breaks_off_has_answered_all_the_same() -> None:
    cut = StreamCut("cut")
    third = Engine("c")
    run = Run(Engine(failure=EngineRejected("a")), Engine("b", failure=cut), third)
    assert await run.ask() is cut
    assert run.switches == [("m1", "engine_rejected", [])]
    assert third.asked == []


async def test_when_none_answers_the_error_is_that_of_the_model_that_was_asked() -> None:
    asked = EngineRejected("asked")
    run = Run(Engine(failure=asked), Engine(failure=StreamCut("b")))
    assert await run.ask() is asked
    assert run.switches == []


async def test_what_the_caller_did_wrong_is_wrong_for_all() -> None:
    wrong = ContextLengthExceeded("too long")
    second = Engine("b")
    run = Run(Engine(failure=wrong), second)
    assert await run.ask() is wrong
    assert second.asked == []


async def test_a_fallback_that_finds_the_request_wrong_does_not_hide_why_it_was_asked() -> None:
    asked = EngineRejected("asked")
    third = Engine("c")
    run = Run(Engine(failure=asked), Engine(failure=InvalidRequest("no")), third)
    assert await run.ask() is asked
    assert third.asked == []


async def test_a_model_that_only_counted_the_prompt_has_not_answered() -> None:
    class Counting(Engine):
        async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
            yield [UsageReport(Usage(7, 0))]
            async for batch in super().generate(job_id, chat):
                yield batch

    run = Run(Counting(failure=StreamCut("a")), Counting(failure=StreamCut("b")), Counting("c"))
    assert await run.ask() is None
    assert run.switches == [("m2", "stream_cut", [])]


async def test_closing_closes_the_engine_that_answers() -> None:
    engine = Engine("a", "b")
    run = Run(Engine(failure=EngineRejected("a")), engine)
    batches = generate_with_failover(
        run.candidates,
        "job_1",
        CHAT,
        deadline_ms=NEVER_MS,
        on_retry=lambda *_: None,
        on_switch=lambda *_: None,
    )
    assert await anext(batches) == [TextDelta("a")]
    await batches.aclose()
    assert engine.closed == 1
