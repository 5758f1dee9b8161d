"""What every route needs, opened once for a process."""

import asyncio
import logging
import secrets
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final

from starlette.requests import Request

from ingress import metrics
from ingress.auth import KeyCache, authorize, credential
from ingress.background import Background
from ingress.fal_signature import FalSignature
from ingress.gap import MissedEnds
from ingress.key_names import named_by_id
from ingress.lanes import LaneBoard
from ingress.networks import Address, client_address
from ingress.relay import Relay
from ingress.settings import IngressSettings
from ingress.slots import Slots
from ingress.submit import Submitter
from ingress.tidying import sweep_objects, tidy_responses
from schemas.access import KEYS_CHANNEL, AccessKey
from schemas.catalog import Catalog
from schemas.errors import Overloaded
from schemas.lanes import LANES_CHANNEL
from storage.async_changes import Changes
from storage.async_jobs import CHANGES, AsyncJobs
from storage.async_views import Views
from storage.background import BackgroundJobs
from storage.batches import Batches
from storage.catalog import catalog_files, load_catalog
from storage.database import Database
from storage.expiring import ExpiringObjects
from storage.files import Files
from storage.idempotency import IdempotentRequests
from storage.kafka import LogProducer
from storage.keys import KeyStore
from storage.ledger import Ledger
from storage.limits import LimitStore
from storage.line import Line
from storage.object_storage import open_objects
from storage.objects import Objects
from storage.observe.tracing import Tracing
from storage.replies import reply_channel
from storage.responses import ResponseStore
from storage.settings import ObserveSettings, StorageSettings
from storage.subscription import Subscription
from storage.thinking import ThinkingStore

SETTLE_S: Final = 0.5
"""How long a closing door waits for limits to be settled; their leases end by themselves."""

NEGATIVE_TTL_S: Final = 5.0
KEYS_CACHED: Final = 50_000

log = logging.getLogger(__name__)


class Door:
    """Opens in order, closes in reverse. The reply channel is confirmed before the first request is taken.

    Opening raises CatalogError, or Undecidable when Redis or Kafka cannot be reached. The database is not asked.
    """

    catalog: Catalog
    keys: KeyCache
    key_store: KeyStore
    ledger: Ledger
    objects: Objects
    line: Line
    limits: LimitStore
    producer: LogProducer
    submitter: Submitter
    responses: ResponseStore
    background: Background
    thinking: ThinkingStore
    jobs: AsyncJobs
    views: Views
    fal_signature: FalSignature
    idempotent: IdempotentRequests
    expiring: ExpiringObjects
    files: Files
    batches: Batches
    tracing: Tracing

    def __init__(
        self, storage: StorageSettings, settings: IngressSettings, observe: ObserveSettings, *, linger_ms: int = 0
    ) -> None:
        self.settings = settings
        self._linger_ms = linger_ms
        self.changes = Changes()
        self.public_url = storage.public_url.rstrip("/")
        self._storage = storage
        self._observe = observe
        self._stack = AsyncExitStack()
        self._reply_to = reply_channel(f"ingress-{secrets.token_hex(8)}")

    async def __aenter__(self) -> "Door":
        self.catalog = load_catalog(catalog_files(self._storage.catalog))
        async with AsyncExitStack() as opening:
            await self._open(opening)
            self._stack = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.submitter.drain(SETTLE_S)
        await self._stack.aclose()

    def give_up(self) -> None:
        """Answers every request that waits still, as this process is about to end."""
        self._relay.fail_all(Overloaded("This ingress is stopping. Ask again.", retry_after_s=1))

    @property
    def ready(self) -> bool:
        """Whether a request could be served now; the database is not asked, for no request needs it."""
        return self.line.connected.is_set() and self._subscription.hears

    async def authenticate(self, request: Request) -> AccessKey:
        """The key a request brings, if it is good from where it comes.

        Raises Unauthenticated, Forbidden, or Undecidable when the key is unknown and cannot be looked up.
        """
        key = await self.keys.get(credential(request.headers))
        self.authorize(key, None, request)
        return key

    def authorize(self, key: AccessKey, model_id: str | None, request: Request) -> None:
        authorize(key, model_id, self.address(request), time.time_ns() // 1_000_000)

    def address(self, request: Request) -> Address:
        """Where a request comes from, past the proxies that are trusted."""
        # Each proxy may add a header of its own: read alone, the first is the one a client could forge.
        forwarded_for = ", ".join(request.headers.getlist("x-forwarded-for")) or None
        return client_address(request.client, forwarded_for, self.settings.trusted_proxies)

    def _gap(self) -> None:
        """What Redis told this process while it was deaf is lost: revoked keys, changes and ends of jobs."""
        self.keys.forget_all()
        self.changes.gap()
        self._missed.begin()

    async def _open(self, opening: AsyncExitStack) -> None:
        await self._open_database(opening)
        self.tracing = Tracing("ingress", self._observe.otlp_endpoint)
        opening.callback(self.tracing.close)
        await self._open_line_and_log(opening)
        await self._open_replies(opening)
        self.objects = await opening.enter_async_context(open_objects(self._storage))
        self._open_stores()
        self._open_submitter(opening)
        self.background = Background(BackgroundJobs(self.line), self.responses, self.limits, self.line)
        _beside(opening, "background", self.background.look_after())
        _beside(opening, "responses", tidy_responses(self.responses))
        _beside(opening, "objects", sweep_objects(self.expiring))

    async def _open_database(self, opening: AsyncExitStack) -> None:
        database = await Database.open(self._storage.database)
        opening.push_async_callback(database.close)
        self.ledger = Ledger(database)
        store = self.key_store = KeyStore(database)

        async def find_key(secret: str) -> AccessKey | None:
            key = await store.find(secret)
            return None if key is None else named_by_id(key, self.catalog)

        self.keys = KeyCache(
            find_key,
            ttl_s=self.settings.key_ttl_s,
            negative_ttl_s=NEGATIVE_TTL_S,
            capacity=KEYS_CACHED,
        )
        opening.push_async_callback(self.keys.close)

    async def _open_line_and_log(self, opening: AsyncExitStack) -> None:
        self.line = Line(self._storage.redis)
        await self.line.open()
        opening.push_async_callback(self.line.close)
        self.producer = LogProducer(self._storage.cluster, "ingress", linger_ms=self._linger_ms)
        await self.producer.open()
        opening.push_async_callback(self.producer.close)

    async def _open_replies(self, opening: AsyncExitStack) -> None:
        self._relay = relay = Relay(self.settings.ping_s, self.settings.stall_s)
        metrics.JOBS_FOLLOWED.set_function(lambda: float(len(relay)))
        self._lanes = LaneBoard(time.monotonic)
        self._missed = MissedEnds(relay, self.line)
        opening.callback(self._missed.close)
        self._subscription = Subscription(
            self._storage.redis,
            self.line,
            {
                self._reply_to: relay.heard,
                LANES_CHANNEL: self._lanes.heard,
                CHANGES: self.changes.heard,
                KEYS_CHANNEL: lambda payload: self.keys.forget(payload.decode(errors="replace")),
            },
            on_gap=self._gap,
        )
        await self._subscription.open()
        opening.push_async_callback(self._subscription.close)
        _beside(opening, "relay-tick", relay.tick())

    def _open_stores(self) -> None:
        """Views of the line and of the objects; none holds anything of its own to be closed."""
        line, objects = self.line, self.objects
        self.limits = LimitStore(line)
        self.responses = ResponseStore(line, objects, self.settings.responses_days)
        self.thinking = ThinkingStore(line)
        self.jobs = AsyncJobs(line)
        self.views = Views(objects)
        self.fal_signature = FalSignature(self.settings.fal_keys)
        self.idempotent = IdempotentRequests(line)
        self.expiring = ExpiringObjects(line, objects)
        self.files = Files(line)
        self.batches = Batches(line)

    def _open_submitter(self, opening: AsyncExitStack) -> None:
        slots = Slots(self.limits, self.settings.slot_lease_s)
        self.submitter = Submitter(
            self.settings,
            self._reply_to,
            relay=self._relay,
            lanes=self._lanes,
            limits=self.limits,
            slots=slots,
            line=self.line,
            producer=self.producer,
            objects=self.objects,
            catalog=self.catalog,
        )
        _beside(opening, "slots", slots.keep())


def _beside(opening: AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
    """Has work that never ends go on until the door closes."""
    opening.callback(asyncio.create_task(work, name=name).cancel)
