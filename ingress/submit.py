"""The one door to the lanes: shed, limit, publish. Whoever comes in, by HTTP or otherwise, comes through here."""

import logging
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from ingress import limits as limit_rules
from ingress import metrics
from ingress.closing import SETTLED_S, Closing
from ingress.fallbacks import fallbacks_of
from ingress.lanes import LaneBoard, shed, shed_full
from ingress.relay import Relay
from ingress.settings import IngressSettings
from ingress.slots import Slots
from ingress.submission import Submission
from schemas.access import AccessKey
from schemas.catalog import Catalog, Model
from schemas.chat import Chat
from schemas.errors import Overloaded, Undecidable
from schemas.jobs import COUNT_TOKENS, ENCODER, Asked, Fallback, Job, Stored
from schemas.media import Film, Invoke
from schemas.topics import lane_topic
from storage.async_jobs import AsyncJobs
from storage.async_record import TERMS_ENCODER, AsyncJob, Terms
from storage.background import Name
from storage.expiring import ExpiringObjects
from storage.kafka import MESSAGE_LIMIT_BYTES, Header, LogProducer, Publish
from storage.limits import LimitStore, Scope, Verdict
from storage.line import Line
from storage.objects import Objects
from storage.observe.tracing import TRACEPARENT

BODY_KEPT_MS: Final = 60_000
"""How long a body that is not deleted with its job outlives the job's deadline: clocks of two machines differ."""

EXPECTED_SHARE: Final = 0.5
"""Of the longest wait, what may be expected: one worker's part of a lane may wait for twice as long as another's, and
whoever is shed after all of it would rather have been at once."""

RECORD_LIMIT_BYTES: Final = 64 * 1024
"""A long job's record is read at every look at it, so what makes it larger lies elsewhere."""

log = logging.getLogger(__name__)


class Submitter:
    def __init__(
        self,
        settings: IngressSettings,
        reply_to: str,
        *,
        relay: Relay,
        lanes: LaneBoard,
        limits: LimitStore,
        slots: Slots,
        line: Line,
        producer: LogProducer,
        objects: Objects,
        catalog: Catalog,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._reply_to = reply_to
        self._relay = relay
        self._lanes = lanes
        self._limits = limits
        self._slots = slots
        self._line = line
        self._producer = producer
        self._bodies = ExpiringObjects(line, objects)
        self._closing = Closing(relay, limits, slots, line, objects)
        self._long = AsyncJobs(line)
        self._open: Counter[str] = Counter()

    async def submit(
        self,
        key: AccessKey,
        model: Model,
        work: Asked,
        *,
        operation: str,
        stream: bool,
        tokens: int,
        traceparent: str | None = None,
    ) -> Submission:
        """Reserves, then publishes. Raises Overloaded, RateLimited or Undecidable; then nothing runs."""
        self._make_way(model)
        job = self._job(key, model, work, operation, stream)
        scopes = limit_rules.scopes(key, model.id, self._settings.default_limits())
        headers = await self._admit(job, scopes, tokens, self._slots.lease_ms)
        self._slots.hold(job.id, scopes)
        self._open[model.lane] += 1
        mailbox = self._relay.open(job.id, model.deadline_s, whole=not stream)
        submission = Submission(job, mailbox, scopes, tokens, headers)
        try:
            await self._publish(submission, traceparent)
        except BaseException as failure:
            # The log may have taken the message all the same: its job is cancelled, for nobody waits.
            mailbox.fail(Undecidable(f"The request was not queued: {failure!r}"))
            self.close(submission)
            raise
        metrics.ACCEPTED.labels(model.id).inc()
        return submission

    async def leave(
        self,
        key: AccessKey,
        model: Model,
        work: Asked,
        *,
        operation: str,
        stream: bool,
        tokens: int,
        keep: Callable[[Job, tuple[Scope, ...]], Awaitable[None]],
        traceparent: str | None = None,
    ) -> tuple[Job, dict[str, str]]:
        """A job in the background: returns it, with the limits' headers, once the log has acknowledged it.

        `keep` is awaited before it is published, and makes it known to whoever brings it to its end and settles what
        was reserved. Raises as `submit` does.
        """
        self._make_way(model)
        job = self._job(key, model, work, operation, stream)
        job = msgspec.structs.replace(job, reply_to=Name(job.account, job.id).channel)
        scopes = limit_rules.scopes(key, model.id, self._settings.default_limits())
        # No process of its own keeps it: its lease lasts as long as it may.
        lease_ms = job.deadline_ms - job.accepted_at_ms + int(SETTLED_S * 1000)
        headers = await self._admit(job, scopes, tokens, lease_ms)
        stored = None
        try:
            await keep(job, scopes)
            value, stored = await self._envelope(job)
            await (await self._send(job, value, traceparent))
        except BaseException:
            self._closing.withdraw(job, scopes, tokens, stored)
            raise
        metrics.ACCEPTED.labels(model.id).inc()
        return job, headers

    async def start(
        self,
        key: AccessKey,
        model: Model,
        work: Film | Invoke,
        *,
        operation: str,
        keep_s: float,
        tokens: int = 0,
        callback_url: str | None = None,
        context: bytes = b"",
        ticket: bytes = b"",
        number: str | None = None,
        traceparent: str | None = None,
    ) -> tuple[AsyncJob, dict[str, str]]:
        """A long job: returns it, with the limits' headers, once its record is made and the log has acknowledged it.

        `context` is what the door keeps with the job for itself, `ticket` what the log's door does. With a `number` of
        its own it is the same job, however often it is started. Raises as `submit` does; then the job is nowhere seen
        and never runs.
        """
        job = self._job(key, model, work, operation, stream=False)
        job = msgspec.structs.replace(job, id=job.id if number is None else f"job_{number}")
        scopes = limit_rules.scopes(key, model.id, self._settings.default_limits())
        terms = Terms(scopes, tokens, keep_s, callback_url, context, ticket)
        job = msgspec.structs.replace(job, reply_to="", context=TERMS_ENCODER.encode(terms))
        if number is not None and (standing := await self._long.get(job.account, job.id)) is not None:
            # Whoever made it died before its caller was told, and perhaps before its envelope was in the lane.
            await (await self._send(job, (await self._envelope(job, RECORD_LIMIT_BYTES))[0], traceparent))
            return standing, {}
        self._make_way_for_long(model)
        lease_ms = job.deadline_ms - job.accepted_at_ms + int(SETTLED_S * 1000)
        headers = await self._admit(job, scopes, tokens, lease_ms)
        try:
            value, stored = await self._envelope(job, RECORD_LIMIT_BYTES)
        except BaseException:
            self._closing.release(job, scopes, tokens)
            raise
        job = msgspec.structs.replace(job, work=stored or job.work)
        try:
            accepted = await self._long.create(job)
            await (await self._send(job, value, traceparent))
        except BaseException:
            self._closing.withdraw_long(job, scopes, tokens)
            raise
        metrics.ACCEPTED.labels(model.id).inc()
        return accepted, headers

    def draft(self, key: AccessKey, model: Model, work: Asked, *, operation: str, job_id: str, reply_to: str) -> Job:
        """A job that is told of elsewhere, for `admit` and then `queue`; nothing is asked of any store yet."""
        job = self._job(key, model, work, operation, stream=False)
        return msgspec.structs.replace(job, id=job_id, reply_to=reply_to)

    async def admit(
        self, job: Job, model: Model, scopes: tuple[Scope, ...], tokens: int, *, again: bool = False
    ) -> None:
        """Reserves for a drafted job until some time after its deadline. Raises as `submit` does.

        Done `again`, after a crash, it reserves nothing more, and is not refused for want of room in the lane.
        """
        if not again:
            self._make_way_for_long(model)
        lease_ms = job.deadline_ms - job.accepted_at_ms + int(SETTLED_S * 1000)
        await self._admit(job, scopes, tokens, lease_ms)

    async def queue(self, job: Job, traceparent: str | None) -> None:
        """Returns when the log has acknowledged the job. After Undecidable it may be there: it can be queued again."""
        value, _ = await self._envelope(job)
        await (await self._send(job, value, traceparent))
        metrics.ACCEPTED.labels(job.model).inc()

    def close(self, submission: Submission) -> None:
        """Settles what was reserved; a job that no worker has ended is cancelled first and its end waited for."""
        self._open[submission.job.lane] -= 1
        self._lanes.over(submission.job.lane)
        self._closing.begin(submission)

    async def drain(self, timeout_s: float) -> None:
        """Waits for what `close` has begun, for a while."""
        await self._closing.drain(timeout_s)

    def _make_way(self, model: Model) -> None:
        if self._open.total() >= self._settings.max_open_requests:
            raise Overloaded("This ingress has no room for another request.", retry_after_s=1)
        state = self._lanes.state(model.lane)
        budget_s = min(model.deadline_s, EXPECTED_SHARE * self._settings.max_queue_wait_s)
        overloaded = shed(model.lane, state, budget_s, self._settings.unserved_s)
        if overloaded := overloaded or shed_full(model.lane, state, model.id):
            raise overloaded
        if self._open[model.lane] - state.slots >= self._settings.max_waiting_per_lane:
            raise Overloaded(f"Too many requests wait for the lane {model.lane}.", retry_after_s=1)

    def _make_way_for_long(self, model: Model) -> None:
        """Nobody waits with an open request, so a long job may wait for as long as it may last."""
        state = self._lanes.state(model.lane)
        if (overloaded := shed(model.lane, state, model.deadline_s, self._settings.unserved_s)) is not None:
            raise overloaded

    def _job(self, key: AccessKey, model: Model, work: Asked, operation: str, stream: bool) -> Job:
        accepted_at_ms = time.time_ns() // 1_000_000
        return Job(
            id=f"job_{accepted_at_ms:012x}{os.urandom(10).hex()}",
            account=key.account,
            key_id=key.id,
            model=model.id,
            operation=operation,
            lane=model.lane,
            accepted_at_ms=accepted_at_ms,
            deadline_ms=accepted_at_ms + int(model.deadline_s * 1000),
            reply_to=self._reply_to,
            stream=stream,
            price=model.price.microusd,
            work=work,
            fallbacks=self._fallbacks(key, model, work, operation),
        )

    def _fallbacks(self, key: AccessKey, model: Model, work: Asked, operation: str) -> tuple[Fallback, ...]:
        if not isinstance(work, Chat) or operation == COUNT_TOKENS:
            return ()
        return fallbacks_of(self._catalog, model, work, key)

    async def _reserve(self, job: Job, scopes: tuple[Scope, ...], tokens: int, lease_ms: int) -> Verdict:
        asked = self._line.connected.is_set()
        try:
            return await self._limits.reserve(scopes, job.id, lease_ms, tokens)
        except Undecidable:
            if asked:
                # The answer was lost; it may have been a grant.
                self._closing.release(job, scopes, tokens)
            raise

    async def _admit(self, job: Job, scopes: tuple[Scope, ...], tokens: int, lease_ms: int) -> dict[str, str]:
        # At once: of a hundred that come together, none is in the log before the last has been let in.
        self._lanes.sent(job.lane)
        try:
            verdict = await self._reserve(job, scopes, tokens, lease_ms)
        except BaseException:
            self._lanes.withdrawn(job.lane)
            raise
        if (refused := limit_rules.refusal(verdict, tokens)) is not None:
            self._lanes.withdrawn(job.lane)
            raise refused
        return limit_rules.headers(verdict.standings)

    async def _publish(self, submission: Submission, traceparent: str | None) -> None:
        value, submission.stored = await self._envelope(submission.job)
        publish = await self._send(submission.job, value, traceparent)
        publish.add_done_callback(lambda done: self._acknowledged(submission, done))

    async def _send(self, job: Job, value: bytes, traceparent: str | None) -> Publish:
        headers: list[Header] = [("job_id", job.id.encode()), ("reply_to", job.reply_to.encode())]
        if traceparent is not None:
            headers.append((TRACEPARENT, traceparent.encode()))
        return await self._producer.send(lane_topic(job.lane), value, headers=headers)

    async def _envelope(self, job: Job, most_bytes: int = MESSAGE_LIMIT_BYTES) -> tuple[bytes, Stored | None]:
        """The job as it is published; work too large for the log is laid into object storage, for a claim check."""
        value = ENCODER.encode(job)
        if len(value) <= most_bytes:
            return value, None
        body = ENCODER.encode(job.work)
        stored = Stored(f"jobs/{job.account}/{job.id}", len(body))
        try:
            await self._bodies.put(stored.key, body, job.deadline_ms + BODY_KEPT_MS)
        except OSError as failure:
            raise Undecidable("The request's body cannot be stored at the moment.", retry_after_s=5) from failure
        return ENCODER.encode(msgspec.structs.replace(job, work=stored)), stored

    def _acknowledged(self, submission: Submission, publish: Publish) -> None:
        if not publish.cancelled() and (failure := publish.exception()) is not None:
            log.warning("job_not_acknowledged", extra={"job_id": submission.job.id, "reason": repr(failure)})
            submission.mailbox.fail(Undecidable("The request could not be queued. Try again.", retry_after_s=2))
