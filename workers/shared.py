"""What the lanes of one worker share: its connections, and what is made of them."""

import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from schemas.topics import batch_lane
from storage.expiring import ExpiringObjects
from storage.jobs import JobRecords, cancel_channel
from storage.kafka import LogProducer
from storage.line import Line
from storage.log_replies import LogReplies
from storage.object_storage import open_objects
from storage.objects import Objects
from storage.observe.tracing import Tracing
from storage.replies import Outboxes
from storage.settings import ObserveSettings, StorageSettings
from storage.subscription import Subscription
from workers.fetch import Fetcher
from workers.images import Inliner
from workers.pictures import Deposits
from workers.runs import Runs
from workers.settings import WorkerSettings
from workers.settle import Settler

USAGE_LINGER_MS = 10
"""Nobody waits for a usage event, so those of a moment share a request to Kafka."""


@dataclass(frozen=True)
class Shared:
    """`incarnation` tells this process from an earlier one of the same name."""

    incarnation: str
    line: Line
    records: JobRecords
    runs: Runs
    outboxes: Outboxes
    log_replies: LogReplies
    objects: Objects
    settler: Settler
    inliner: Inliner
    deposits: Deposits
    tracing: Tracing


async def open_shared(
    keep: AsyncExitStack,
    storage: StorageSettings,
    settings: WorkerSettings,
    observe: ObserveSettings,
    lanes: Sequence[str],
) -> Shared:
    """Opens it all for as long as `keep` lasts; cancellations are heard for these lanes. Raises Undecidable."""
    line = Line(storage.redis)
    await line.open()
    keep.push_async_callback(line.close)
    producer = LogProducer(storage.cluster, settings.worker_name, linger_ms=USAGE_LINGER_MS)
    await producer.open()
    keep.push_async_callback(producer.close)
    tracing = Tracing("worker", observe.otlp_endpoint)
    keep.callback(tracing.close)

    incarnation = secrets.token_hex(4)
    records = JobRecords(line, settings.worker_name, incarnation)
    runs = Runs(records)
    await _hear_cancellations(keep, storage, line, runs, lanes)

    fetcher = Fetcher(settings.fetch_networks, http=settings.fetch_http, limit_s=settings.fetch_s)
    keep.push_async_callback(fetcher.close)
    objects = await keep.enter_async_context(open_objects(storage))
    expiring = ExpiringObjects(line, objects)
    return Shared(
        incarnation,
        line,
        records,
        runs,
        Outboxes(line, runs.nobody_listens),
        LogReplies(producer, expiring),
        objects,
        Settler(records, producer, objects),
        Inliner(fetcher),
        Deposits(expiring, fetcher),
        tracing,
    )


async def _hear_cancellations(
    keep: AsyncExitStack, storage: StorageSettings, line: Line, runs: Runs, lanes: Sequence[str]
) -> None:
    batches = [batch for lane in lanes if (batch := batch_lane(lane)) is not None]
    handlers = {cancel_channel(lane): runs.cancelled for lane in [*lanes, *batches]}
    subscription = Subscription(storage.redis, line, handlers, on_gap=lambda: None)
    await subscription.open()
    keep.push_async_callback(subscription.close)
