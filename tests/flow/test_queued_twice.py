"""A log door that dies between queueing a submission's job and noting that: the next one is given it again.

The dying door runs here, so that it can be held exactly there and dropped with nothing committed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
import pytest_asyncio

from ingress.door import Door
from ingress.log_door.__main__ import GROUP, LogDoor
from ingress.log_door.settings import LogDoorSettings
from ingress.settings import IngressSettings
from schemas.access import Limits
from schemas.topics import REPLIES, SUBMISSIONS, lane_topic
from storage.group import GroupView
from storage.local.kafka_program import KafkaProgram
from storage.settings import ObserveSettings, StorageSettings
from storage.submissions import Origin, Submissions
from tests.asking import QUESTION
from tests.lane_log import found, headers_of, reading
from tests.producer import Producer, Told
from tests.stack import Stack, running_stack, until
from tests.upstream import Reply, answer

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

PARTS: Final = ("worker", "streams")
LANE: Final = "text.default"
CHAT: Final = "/v1/chat/completions"
BODY: Final[dict[str, Any]] = {"model": "scripted", "messages": QUESTION}
INSTANCE: Final = "logdoor"
"""The next door has the partitions of the one that died at once, under its name."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def twice_stack(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("twice"), kafka_program, *PARTS, rows=[]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def stack(twice_stack: Stack) -> AsyncIterator[Stack]:
    twice_stack.upstream.reset()
    await twice_stack.mend(*PARTS)
    yield twice_stack


@pytest_asyncio.fixture(loop_scope="session")
async def producer(stack: Stack, account: str) -> AsyncIterator[Producer]:
    """Of an account that has room for one request: a second reservation of the same job would be refused."""
    key = await stack.create_key(account)
    await stack.set_limits(account, Limits(requests_per_min=1, in_flight=1))
    async with Producer(stack.bootstrap, key.secret).open() as opened:
        yield opened


@asynccontextmanager
async def dying_door(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[asyncio.Event]:
    """A log door whose first submission is queued and never noted; the event is set when it is there.

    Leaving it drops it: what it has under way is given up, uncommitted.
    """
    queued, ready, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def never(self: Submissions, origin: Origin) -> None:
        queued.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Submissions, "queued", never)
    storage = StorageSettings(
        kafka=stack.bootstrap,
        redis=stack.redis_url,
        database=stack.database_url,
        objects=str(stack.objects),
        catalog=str(stack.folder / "catalog.yaml"),
    )
    async with Door(storage, IngressSettings(drain_s=0), ObserveSettings()) as door:
        log_door = LogDoor(door, LogDoorSettings(instance=INSTANCE), storage.cluster)
        serving = asyncio.create_task(log_door.serve(ready.set, stop))
        await ready.wait()
        try:
            yield queued
        finally:
            stop.set()
            await serving
            monkeypatch.undo()


async def all_taken(stack: Stack) -> None:
    """Returns once nobody has anything left to do in the log."""
    groups = [
        (f"{GROUP}.{SUBMISSIONS}", SUBMISSIONS),
        (f"penstock.{LANE}", lane_topic(LANE)),
        (f"{GROUP}.{REPLIES}", REPLIES),
    ]
    for group, topic in groups:
        view = GroupView(stack.bootstrap, group, topic)
        await view.open()
        try:
            await until(lambda view=view: view.lag(range(4)), lambda lag: sum(lag.values()) == 0)  # type: ignore[misc]
        finally:
            await view.close()


async def queued_twice(stack: Stack, job_id: str) -> None:
    """Returns once the lane is seen to hold the job's second message."""
    async with reading(stack.bootstrap, lane_topic(LANE)) as lane, asyncio.timeout(20):
        for _ in range(2):
            await found(lane, lambda message: headers_of(message)["job_id"] == job_id)


async def one_result(stack: Stack, producer: Producer, account: str, named: str) -> Told:
    """The submission's result, after which there is no other one, and of its job one end, and nothing held."""
    await producer.results(named)
    await all_taken(stack)
    (told,) = [each for each in producer.told if each.value["correlation_id"] == named]
    assert (told.value["status"], told.value["error"]) == (200, None)
    (charge,) = await stack.charges(account, 1)
    assert (charge.event.job_id, charge.event.end) == (told.value["id"], "completed")
    assert len(stack.upstream.asked) == 1
    await stack.until_free(account)
    return told


@pytest.mark.parametrize("key", [None, "order-1"], ids=["no key", "key"])
async def test_before_a_worker_has_begun(
    stack: Stack, producer: Producer, account: str, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """The lane has no worker then, for which a new submission would be turned away."""
    await stack.kill("worker")
    async with dying_door(stack, monkeypatch) as queued:
        named = await producer.send(CHAT, BODY, idempotency_key=key)
        await asyncio.wait_for(queued.wait(), 20)
    await stack.start(INSTANCE, PENSTOCK_UNSERVED_S="0.001", PENSTOCK_LOG_DOOR_PATIENCE_S="0")
    await until(lambda: committed(stack), lambda lag: lag == 0)
    await stack.start("worker")
    told = await one_result(stack, producer, account, named)
    await queued_twice(stack, told.value["id"])


async def test_while_a_worker_runs_it(
    stack: Stack, producer: Producer, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *answer("Hello").steps]))
    async with dying_door(stack, monkeypatch) as queued:
        named = await producer.send(CHAT, BODY)
        await asyncio.wait_for(queued.wait(), 20)
        await stack.upstream.arrived(1)
    await stack.start(INSTANCE)
    await until(lambda: committed(stack), lambda lag: lag == 0)
    release.set()
    told = await one_result(stack, producer, account, named)
    await queued_twice(stack, told.value["id"])


async def test_after_its_result_was_published(
    stack: Stack, producer: Producer, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with dying_door(stack, monkeypatch) as queued:
        named = await producer.send(CHAT, BODY)
        await asyncio.wait_for(queued.wait(), 20)
        await producer.results(named)
        await stack.charges(account, 1)
    await stack.start(INSTANCE)
    await one_result(stack, producer, account, named)


async def committed(stack: Stack) -> int:
    """How many submissions no door is done with."""
    view = GroupView(stack.bootstrap, f"{GROUP}.{SUBMISSIONS}", SUBMISSIONS)
    await view.open()
    try:
        return sum((await view.lag(range(4))).values())
    finally:
        await view.close()
