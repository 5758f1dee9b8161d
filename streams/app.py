"""Puts the parts of streams together around a Faust application, and runs them until one of them ends."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import gettempdir
from typing import Final, cast

import faust
from faust.auth import SASLCredentials, SSLCredentials
from faust.types import TP, EventT, StreamT
from faust.types.auth import CredentialsT

from schemas.errors import Undecidable
from schemas.topics import DEAD_LETTERS, USAGE
from storage.database import Database
from storage.group import GroupView
from storage.kafka_security import Kafka
from storage.ledger import Ledger
from storage.settings import StorageSettings
from streams.billing import Billing
from streams.consumer import FETCH_BYTES, Consumer, Transport
from streams.dead_letters import DeadLetters
from streams.intake import BATCH, Intake, Record
from streams.positions import Positions
from streams.settings import StreamsSettings
from streams.telemetry import Telemetry
from streams.watch import Watch

SESSION_S: Final = 6.0
"""How long the group waits for a member that was killed before another takes its partitions."""

HEARTBEAT_S: Final = 1.5
REQUEST_S: Final = 10.0
NEVER_S: Final = 86_400.0
LOOK_S: Final = 1.0

STOP_S: Final = 3
"""How long the parts have to stop before the process is killed: one that hangs may be why it stops."""

log = logging.getLogger(__name__)


class Streams:
    """Usage events from Kafka into the ledger, each at least once, and once in effect.

    Offsets are committed here and not by Faust, which commits what it has handed over and not what has been done
    with it. After a crash at any point everything since the last commit comes again, and the ledger knows it.
    """

    def __init__(self, app: faust.App, intake: Intake, billing: Billing, group: GroupView) -> None:
        self._app = app
        self._intake = intake
        self._billing = billing
        self._group = group
        self._positions = Positions()

    def partitions(self) -> set[int]:
        return {tp.partition for tp in self._app.consumer.assignment()}

    async def settle_batches(self) -> None:
        """Never returns; raises OffsetGap."""
        while True:
            records = await self._intake.batch()
            await self._rebase()
            fresh = self._positions.advance(records)
            await self._billing.settle(fresh)
            await self._commit(self._positions.reached(fresh))

    async def _rebase(self) -> None:
        """After a rebalance go on from where the group stands, which another member may have moved."""
        generation = self._app.consumer_generation_id
        while generation != self._positions.generation:
            try:
                self._positions.rebase(generation, await self._group.going_on_from(self.partitions()))
            except Undecidable as failure:
                log.warning("positions_unknown", extra={"reason": failure.message})
                await asyncio.sleep(LOOK_S)

    async def _commit(self, offsets: dict[int, int]) -> None:
        """A commit that a rebalance forestalls is not repeated: its events come again."""
        if offsets:
            consumer = cast(Consumer, self._app.consumer)
            await consumer.commit_offsets({TP(USAGE, each): at for each, at in offsets.items()})


def faust_app(
    kafka: Kafka,
    settings: StreamsSettings,
    take: Callable[[Record], Awaitable[None]],
    assigned: Callable[[], None],
) -> faust.App:
    """An application that hands each message over as it is, and commits nothing."""
    app = faust.App(
        settings.group,
        # For tables, of which there are none; Faust makes the folder all the same.
        datadir=Path(gettempdir()) / f"penstock-streams-{os.getuid()}",
        broker=[f"kafka://{server.strip()}" for server in kafka.bootstrap.split(",")],
        broker_credentials=_credentials(kafka),
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        consumer_auto_offset_reset="earliest",
        consumer_group_instance_id=settings.instance or None,
        stream_buffer_maxsize=2 * BATCH,
        consumer_max_fetch_size=FETCH_BYTES,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        broker_request_timeout=REQUEST_S,
        # Faust has nothing to commit here, and its watch on its own commits nothing to see.
        broker_commit_interval=NEVER_S,
    )
    app.transport = Transport(app.conf.broker_consumer, app)
    topic = app.topic(USAGE, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw", acks=False)

    async def usage(stream: StreamT[bytes]) -> None:
        async for event in stream.events():
            await take(_record(event))

    async def on_assigned(*_: object, **__: object) -> None:
        assigned()

    app.agent(topic, name="usage")(usage)
    app.on_partitions_assigned.connect(on_assigned, weak=False)
    return app


def _credentials(kafka: Kafka) -> CredentialsT | None:
    tls = kafka.tls()
    if kafka.is_named:
        return SASLCredentials(
            username=kafka.username, password=kafka.password, mechanism=kafka.mechanism, ssl_context=tls
        )
    return None if tls is None else SSLCredentials(tls)


def _record(event: EventT[bytes]) -> Record:
    message = event.message
    return Record(
        message.topic,
        message.partition,
        message.offset,
        message.generation_id,
        message.value or b"",
        cast(Sequence[tuple[str, bytes]], message.headers or ()),
    )


async def run(storage: StorageSettings, settings: StreamsSettings, ready: Callable[[], None]) -> None:
    """Runs until it is cancelled, or raises what ended it; `ready` is called when partitions have been assigned."""
    async with AsyncExitStack() as closing:
        database = await Database.open(storage.database)
        closing.push_async_callback(database.close)
        group = GroupView(storage.cluster, settings.group, USAGE)
        closing.push_async_callback(group.close)
        aside = DeadLetters(storage.cluster)
        closing.push_async_callback(aside.close)
        await _opened(group)
        await _topics_made(group)

        intake = Intake()
        billing = Billing(Ledger(database), aside, Telemetry())
        app = faust_app(storage.cluster, settings, intake.put, ready)
        streams = Streams(app, intake, billing, group)
        watch = Watch(
            group,
            streams.partitions,
            lambda: billing.attempts,
            lag_warning=settings.lag_warning,
            stall_s=settings.stall_s,
        )
        closing.push_async_callback(app.stop)
        closing.callback(signal.alarm, STOP_S)
        await app.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_crash_of(app))
            tasks.create_task(streams.settle_batches())
            tasks.create_task(watch.run())


async def _crash_of(app: faust.App) -> None:
    await app.wait_until_stopped()
    raise app.crash_reason or RuntimeError("Faust stopped of itself")


async def _opened(group: GroupView) -> None:
    while True:
        try:
            return await group.open()
        except Undecidable as failure:
            log.warning("waiting_for_kafka", extra={"reason": failure.message})
        await asyncio.sleep(LOOK_S)


async def _topics_made(group: GroupView) -> None:
    """Faust ignores a topic that is made after it has started, for ever."""
    while missing := {USAGE, DEAD_LETTERS} - await group.topics():
        log.warning("waiting_for_topics", extra={"missing": sorted(missing)})
        await asyncio.sleep(LOOK_S)
