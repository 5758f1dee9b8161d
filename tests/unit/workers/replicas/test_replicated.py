"""One model at several addresses: who is asked, what is learnt from it, and what who asks hears."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from schemas.catalog import Model
from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, TextDelta
from schemas.errors import (
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    NoReplica,
    PenstockError,
    StreamCut,
)
from tests.unit.workers.replicas.scripted import CHAT, WHOLE, Row, Scripted
from workers import metrics
from workers.engine import CountsTokens, EngineBusy
from workers.registry import Starts, build
from workers.replicas.prefix import Load
from workers.replicas.replicated import Replicated, ReplicatedText, names_of
from workers.replicas.waiting import Waiting
from workers.retry import generate_with_retries


def gone() -> EngineUnavailable:
    return EngineUnavailable("not reached")


FAILURES = [
    gone(),
    EngineFailed("nonsense"),
    EngineRejected("no such application"),
    StreamCut("cut"),
    EngineBusy("full"),
]


def long_chat(number: int) -> Chat:
    return Chat((Message("user", (Text(f"Conversation {number}. " + "x" * 4000),)),))


async def retried(row: Row, attempts: int = 3) -> list[Any]:
    deadline_ms = int((time.time() + 60) * 1000)
    batches = generate_with_retries(row.engine, "job", CHAT, attempts=attempts, deadline_ms=deadline_ms)
    return [batch async for batch in batches]


async def test_requests_at_once_spread_and_places_are_given_back() -> None:
    row = Row(3)
    open_streams = []
    for number in range(6):
        stream = row.engine.generate(f"job_{number}", CHAT)
        await anext(stream)
        open_streams.append(stream)
    assert row.asked == [2, 2, 2]
    assert [replica.outstanding for replica in row.replicas] == [2, 2, 2]
    for stream in open_streams:
        await stream.aclose()
    assert [(replica.outstanding, replica.work) for replica in row.replicas] == [(0, 0)] * 3
    assert [engine.closed for engine in row.engines] == [2, 2, 2], "each closing reaches the engine"


async def test_one_at_a_time_they_are_spread_by_chance() -> None:
    row = Row(3)
    for _ in range(90):
        await row.ask()
    assert all(count > 10 for count in row.asked)


async def test_a_long_prompt_is_more_work_than_a_short_one() -> None:
    row = Row(2)
    heavy = row.engine.generate("heavy", Chat((Message("user", (Text("x" * 40_000),)),)))
    await anext(heavy)
    (busy,) = [replica for replica in row.replicas if replica.outstanding]
    light = []
    for number in range(3):
        stream = row.engine.generate(f"light_{number}", CHAT)
        await anext(stream)
        light.append(stream)
    assert busy.outstanding == 1
    for stream in [heavy, *light]:
        await stream.aclose()


async def test_a_conversation_goes_home_and_others_elsewhere() -> None:
    row = Row(3, prefix_chars=2048)
    homes = []
    for number in range(30):
        first = long_chat(number)
        second = Chat((*first.messages, Message("assistant", (Text("Yes."),)), Message("user", (Text("Go on."),))))
        before = row.asked
        for chat in (first, second, second):
            await row.ask(chat)
        (home,) = [place for place, (was, now) in enumerate(zip(before, row.asked, strict=True)) if now - was == 3]
        homes.append(home)
    assert set(Counter(homes)) == {0, 1, 2}


async def test_a_home_that_is_far_busier_than_others_is_left_for_the_next() -> None:
    row = Row(3, prefix_chars=2048)
    chat = long_chat(1)
    streams = []
    for number in range(30):
        stream = row.engine.generate(f"job_{number}", chat)
        await anext(stream)
        streams.append(stream)
    # Each is more than one request's work, so eight spare are fewer than eight requests.
    most, least = max(row.asked), min(row.asked)
    assert most > least > 0
    assert most <= 2 * least + 8
    for stream in streams:
        await stream.aclose()


@pytest.mark.parametrize("failure", FAILURES, ids=lambda error: error.code)
async def test_what_fails_before_its_output_is_asked_of_another_at_once(failure: PenstockError) -> None:
    row = Row(2)
    row.engines[0].always = failure
    began = time.monotonic()
    for _ in range(20):
        row.clock.now += 100
        assert await retried(row, attempts=2) == list(WHOLE)
    assert time.monotonic() - began < 0.25, "less than the shortest wait of any retry"
    assert len(row.engines[1].asked) == 20


async def test_what_is_wrong_with_a_request_is_wrong_everywhere_and_says_nothing_of_a_replica() -> None:
    row = Row(2)
    for engine in row.engines:
        engine.always = InvalidRequest("no")
    for _ in range(20):
        with pytest.raises(InvalidRequest):
            await retried(row)
    assert sum(row.asked) == 20
    assert [replica.state for replica in row.replicas] == ["closed"] * 2


async def test_after_some_output_nobody_else_is_asked() -> None:
    row = Row(2)
    for engine in row.engines:
        engine.fail(StreamCut("cut"), after=1)
    with pytest.raises(StreamCut, match="cut"):
        await retried(row)
    assert sum(row.asked) == 1


async def test_three_failures_take_a_replica_out_until_one_request_has_tried_it() -> None:
    row = Row(2)
    row.engines[0].always = gone()
    while row.replicas[0].state == "closed":
        row.clock.now += 1.1
        await row.failure()
    assert row.asked[0] == 3
    for _ in range(10):
        assert await row.failure() is None
    assert row.asked[0] == 3
    row.engines[0].always = None
    row.clock.now += 1.1
    assert await row.failure() is None
    assert (row.asked[0], row.replicas[0].state) == (4, "closed")


async def test_while_one_tries_the_others_go_where_it_is_well() -> None:
    row = Row(2)
    row.engines[0].always = gone()
    while row.replicas[0].state == "closed":
        row.clock.now += 1.1
        await row.failure()
    row.clock.now += 1.1
    row.engines[0].always = None
    with row.replicas[0].turn(1.0):
        assert row.replicas[0].state == "half_open"
        before = row.asked
        for _ in range(5):
            await row.ask()
        assert row.asked == [before[0], before[1] + 5]


async def test_one_without_room_is_left_alone_for_as_long_as_it_says_and_is_not_out_of_order() -> None:
    row = Row(2)
    row.engines[0].fail(*[EngineBusy("full", retry_after_s=20)] * 50)
    for _ in range(20):
        await retried(row)
    assert row.asked[0] == 1
    for _ in range(9):
        row.clock.now += 21
        for _ in range(20):
            await retried(row)
    assert row.asked[0] == 10
    assert row.replicas[0].state == "closed"


async def test_when_all_are_full_the_wait_is_that_of_the_first_that_is_not() -> None:
    row = Row(2)
    row.engines[0].always = EngineBusy("full", retry_after_s=20)
    row.engines[1].always = EngineBusy("full", retry_after_s=3)
    first, second = await row.failure(), await row.failure()
    assert first is not None
    assert (type(first), first.retry_after_s) == (NoReplica, 0)
    assert second is not None
    assert (second.code, second.status, second.retry_after_s) == ("no_replica", 503, 3)
    assert isinstance(second, EngineBusy), "the gate is to hear of it"


async def test_one_that_has_no_room_while_its_probes_fail_is_not_in_order() -> None:
    row = Row(1)

    class Late(Scripted):
        async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
            for _ in range(2):
                row.replicas[0].probed(False)
            raise EngineBusy("full", retry_after_s=20)
            yield []

    row.replicas[0].served = Late()
    assert isinstance(await row.failure(), NoReplica)


async def test_when_all_are_gone_it_says_so_at_once_and_then_they_come_back() -> None:
    row = Row(3)
    for engine in row.engines:
        engine.always = gone()
    while not all(replica.state == "open" for replica in row.replicas):
        row.clock.now += 0.01
        await row.failure()
    asked = row.asked
    failure = await row.failure()
    assert isinstance(failure, NoReplica)
    assert (failure.code, failure.status, failure.retry_after_s) == ("no_replica", 503, 1.0)
    assert "'m'" in failure.message
    assert "not reached" in failure.message
    assert row.asked == asked
    for engine in row.engines:
        engine.always = None
    row.clock.now += 1.1
    # None is known to be well, so who comes is let through and not one alone.
    streams = [row.engine.generate(f"job_{number}", CHAT) for number in range(6)]
    for stream in streams:
        assert await anext(stream) == WHOLE[0]
        await stream.aclose()
    assert [replica.state for replica in row.replicas] == ["closed"] * 3


async def test_many_may_try_at_once_where_none_is_in_order() -> None:
    row = Row(2)
    for engine in row.engines:
        engine.always = gone()
    while not all(replica.state == "open" for replica in row.replicas):
        row.clock.now += 0.01
        await row.failure()
    for engine in row.engines:
        engine.always = None
    row.clock.now += 1.1
    with row.replicas[0].turn(1.0), row.replicas[1].turn(1.0):
        assert {replica.state for replica in row.replicas} == {"half_open"}
        assert await row.failure() is None


async def test_a_count_of_tokens_goes_by_the_same_rules() -> None:
    row = Row(2)
    row.engines[0].always = gone()
    assert isinstance(row.engine, CountsTokens)
    failures: list[PenstockError] = []
    while not failures:
        try:
            assert await row.engine.count_tokens(CHAT) == 7
        except EngineUnavailable as error:
            failures.append(error)
    assert failures[0].retry_after_s == 0, "the other may be asked at once"
    assert [await row.engine.count_tokens(CHAT) for _ in range(20)] == [7] * 20
    assert [replica.outstanding for replica in row.replicas] == [0, 0]


async def test_what_an_adapter_never_should_raise_counts_against_the_replica_too() -> None:
    row = Row(2)
    for engine in row.engines:
        engine.always = ZeroDivisionError()
    for _ in range(20):
        with pytest.raises((ZeroDivisionError, NoReplica)):
            await row.ask()
    assert [replica.state for replica in row.replicas] == ["open"] * 2


async def test_a_deadline_gives_the_place_back_and_tells_nothing() -> None:
    row = Row(2)
    stream = row.engine.generate("job", CHAT)
    await anext(stream)
    with pytest.raises(asyncio.CancelledError):
        await stream.athrow(asyncio.CancelledError())
    assert [(replica.outstanding, replica.state) for replica in row.replicas] == [(0, "closed")] * 2


async def silent_at_first(row: Row) -> asyncio.Task[list[Any]]:
    """A request that waits for the first replica, which says nothing."""
    row.engines[0].silent = True
    while True:
        asking = asyncio.create_task(retried(row))
        await asyncio.sleep(0)
        if row.replicas[0].outstanding:
            return asking
        await asking


async def test_who_waits_for_a_host_that_is_gone_is_answered_by_another() -> None:
    row = Row(2)
    asking = await silent_at_first(row)
    for _ in range(2):
        row.replicas[0].probed(False)
    row.engine.let_go(row.replicas[0])
    async with asyncio.timeout(1):
        assert await asking == list(WHOLE)
    assert (row.asked[0], row.replicas[0].outstanding) == (1, 0)


async def test_who_waits_waits_on_where_there_is_no_other() -> None:
    row = Row(2)
    asking = await silent_at_first(row)
    for replica in reversed(row.replicas):
        for _ in range(2):
            replica.probed(False)
    row.engine.let_go(row.replicas[0])
    for _ in range(9):
        await asyncio.sleep(0)
    assert row.replicas[0].outstanding == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert row.replicas[0].outstanding == 0


async def test_who_takes_long_to_go_is_let_go_once() -> None:
    """Each probe that fails lets go; the second would find the first one's still there, and end the probes."""
    leaving, gone_at_last = asyncio.Event(), asyncio.Event()

    async def slow_to_go() -> AsyncGenerator[Sequence[Delta], None]:
        try:
            await asyncio.Event().wait()
        finally:
            leaving.set()
            await gone_at_last.wait()
        yield [TextDelta("never")]

    waiting = Waiting()
    asking = asyncio.create_task(waiting.first(slow_to_go()))
    await asyncio.sleep(0)
    waiting.let_go()
    await leaving.wait()
    waiting.let_go()
    gone_at_last.set()
    with pytest.raises(EngineUnavailable):
        await asking


async def test_what_comes_of_requests_is_counted_by_address() -> None:
    row = Row(1)

    def count(result: str) -> float:
        return metrics.REPLICA_REQUESTS.labels("m", "10.0.0.0:8000", result)._value.get()

    results = ("answered", "refused", "busy", "failed", "left")
    before = {result: count(result) for result in results}
    await row.ask()
    row.engines[0].fail(InvalidRequest("no"), EngineBusy("full"), gone())
    for _ in range(3):
        await row.failure()
    async with aclosing(row.engine.generate("job", CHAT)) as stream:
        await anext(stream)
        assert metrics.REPLICA_OUTSTANDING.labels("m", "10.0.0.0:8000")._value.get() == 1
    assert {result: count(result) - before[result] for result in results} == dict.fromkeys(results, 1)


async def test_closing_closes_each() -> None:
    row = Row(2)
    await row.engine.close()
    assert [engine.closed for engine in row.engines] == [100, 100]


def model(*addresses: str, **fields: Any) -> Model:
    first, *others = addresses
    row = {"id": "m", "engine": "vllm", "base_url": first, "replicas": others}
    return Model.model_validate({"context_tokens": 8192, "max_output_tokens": 4096, **row, **fields})


def test_a_row_with_several_addresses_is_an_engine_over_each() -> None:
    engine = build(model("http://a:1/v1", "http://b:2/v1"), {})
    assert isinstance(engine, ReplicatedText)
    assert isinstance(engine, Starts)
    assert [replica.address for replica in engine.replicas] == ["a:1", "b:2"]
    assert {type(replica.served).__name__ for replica in engine.replicas} == {"VLLM"}


def test_a_row_with_one_address_has_nothing_around_it() -> None:
    assert type(build(model("http://a:1/v1"), {})).__name__ == "VLLM"


def test_media_have_replicas_and_count_no_tokens() -> None:
    row = model(
        "http://a:1/v1",
        "http://b:2/v1",
        modality="embedding",
        embedding={"dimensions": 3, "max_input_tokens": 10},
        context_tokens=0,
        max_output_tokens=0,
    )
    engine = build(row, {})
    assert isinstance(engine, Replicated)
    assert not isinstance(engine, CountsTokens)


def test_addresses_are_shown_as_host_and_port_and_no_longer_than_they_must_be() -> None:
    assert names_of(model("http://a:1/x/v1", "https://b/v1")) == ["a:1", "b:443"]
    assert names_of(model("http://a:1/x/v1", "http://a:1/y/v1")) == ["a:1/x/v1", "a:1/y/v1"]


def test_a_load_weighs_one_at_least() -> None:
    assert Load() == (1.0, None)
