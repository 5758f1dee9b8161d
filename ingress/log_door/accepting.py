"""One submission: authenticated, held to its model's contract, queued as a job; or refused with a result."""

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Literal, NamedTuple

import msgspec

from ingress import metrics
from ingress.auth import authorize, credential
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.limits import scopes
from ingress.log_door.patience import until_done
from ingress.log_door.received import Received
from ingress.log_door.results import Results, done, refused
from ingress.log_door.ticket import ENCODER, Ticket
from ingress.operations.operation import DirectOperation, LongOperation, Told
from ingress.operations.table import DIRECT, LONG, OPERATIONS
from schemas.access import AccessKey
from schemas.catalog import Model
from schemas.errors import InternalError, InvalidRequest, InvalidValue, KeyInUse, PenstockError, UnsupportedParameter
from schemas.jobs import Job
from schemas.logged import ENCODER as ACCEPTED_ENCODER
from schemas.logged import LOG_CHANNEL, Accepted
from schemas.wire.submissions import ENCODER as RESULT_ENCODER
from schemas.wire.submissions import RESULT_DECODER, Submission, SubmissionPlace
from storage.lane_consumer import Taken
from storage.submissions import Claimed, Found, Submissions, submission_key

OVERDUE_MS: Final = 15_000
"""A deadline is the worker's to enforce; this long after it, whoever looks does."""

TO_DO: Final = frozenset({Found.NEW, Found.AGAIN})

Outcome = Literal["accepted", "repeated", "refused", "dead_lettered"]
OUTCOMES: Final[Mapping[Found, Outcome]] = {
    Found.NEW: "accepted",
    Found.AGAIN: "accepted",
    Found.QUEUED: "repeated",
    Found.TWIN: "repeated",
}
UNREADABLE: Final = "unreadable"
"""What is counted in the place of an operation that cannot be read."""

log = logging.getLogger(__name__)


class _Draft(NamedTuple):
    """A submission that its operation accepts; `accepted` is the job that it may become, if it is to become one."""

    job_id: str
    account: str
    ticket: Ticket
    fingerprint: str
    accepted: Accepted | None = None


class Acceptor:
    """Its `accept` returns when the submission is done with: queued and acknowledged, or answered and acknowledged.

    A lane that is full, or a store that is away, is waited for `patience_s`; what has begun to be queued, for ever.
    """

    def __init__(self, door: Door, known: Submissions, results: Results, patience_s: float) -> None:
        self._door = door
        self._known = known
        self._results = results
        self._patience_s = patience_s

    async def accept(self, taken: Taken) -> None:
        received = Received.of(taken)
        try:
            submission = received.submission()
        except InvalidRequest as fault:
            await self._results.set_aside(received, fault.message)
            await self._refuse_unreadable(received, fault)
            metrics.SUBMISSIONS.labels(UNREADABLE, "dead_lettered").inc()
            return
        account = ""
        try:
            key = await self._key(received)
            account = key.account
            outcome = await self._accept(received, submission, key)
        except PenstockError as error:
            await self._refuse(received, submission, account, error)
            outcome = "refused"
        except Exception as fault:
            # One submission that nobody foresaw must not stop its partition.
            log.exception("submission_not_accepted", extra={"job_id": received.job_id, "account": account})
            await self._results.set_aside(received, repr(fault))
            await self._refuse(received, submission, account, InternalError("The platform failed at this submission."))
            outcome = "dead_lettered"
        metrics.SUBMISSIONS.labels(submission.operation, outcome).inc()

    async def _refuse(self, received: Received, submission: Submission, account: str, error: PenstockError) -> None:
        result = refused(error, received.job_id, Ticket.of(received, submission), received.origin)
        await self._results.publish(result, account, received.returned)

    async def _key(self, received: Received) -> AccessKey:
        secret = credential(received.headers)
        key = await until_done(lambda: self._door.keys.get(secret), self._patience_s)
        authorize(key, None, None, time.time_ns() // 1_000_000)
        return key

    async def _refuse_unreadable(self, received: Received, fault: InvalidRequest) -> None:
        """Whoever sent what cannot be read is told, if the headers say who that is."""
        try:
            key = await self._key(received)
        except PenstockError:
            return
        result = refused(fault, received.job_id, None, received.origin)
        result = msgspec.structs.replace(result, correlation_id=received.correlation_id)
        await self._results.publish(result, key.account, received.returned)

    async def _accept(self, received: Received, submission: Submission, key: AccessKey) -> Outcome:
        asked = Incoming(key, None, received.headers, bytes(submission.body))
        if (long := LONG.get(submission.operation)) is not None:
            return await self._accept_long(received, submission, asked, long)
        if (direct := DIRECT.get(submission.operation)) is not None:
            return await self._do(received, submission, asked, direct)
        operation = OPERATIONS[submission.operation]
        asking = await until_done(lambda: operation.ask(self._door, asked), self._patience_s)
        if asking.stream:
            name = operation.stream_parameter
            raise UnsupportedParameter(f"A result is whole: '{name}' cannot ask for a stream.", param=name)
        job = self._door.submitter.draft(
            key, asking.model, asking.work, operation=operation.name, job_id=received.job_id, reply_to=LOG_CHANNEL
        )
        ticket = msgspec.structs.replace(
            self._ticket(received, submission, key),
            state=asking.state(Told.of(job)),
            scopes=scopes(key, job.model, self._door.settings.default_limits()),
            reserved_tokens=asking.tokens,
        )
        job = msgspec.structs.replace(job, context=ENCODER.encode(ticket))
        found = await self._claim(_Draft(job.id, key.account, ticket, _fingerprint(submission), Accepted.of(job)))
        if found in TO_DO:
            await self._queue(job, asking.model, ticket, received.headers.get("traceparent"), found)
        return OUTCOMES[found]

    async def _accept_long(
        self, received: Received, submission: Submission, asked: Incoming, operation: LongOperation[Any]
    ) -> Outcome:
        """A long job: its record holds what was reserved, and whoever ends it settles that and replies."""
        asking = await until_done(lambda: operation.ask(self._door, asked), self._patience_s)
        ticket = self._ticket(received, submission, asked.key)
        accepted = _accepted(received.job_id, asked.key.account, asking.model, ENCODER.encode(ticket))
        draft = _Draft(received.job_id, asked.key.account, ticket, _fingerprint(submission), accepted)
        found = await self._claim(draft)
        if found not in TO_DO:
            return OUTCOMES[found]
        known = replace(asked, number=received.job_number, ticket=accepted.context)
        try:
            await until_done(lambda: operation.start(self._door, known, asking), self._patience_s)
        except PenstockError:
            await until_done(lambda: self._known.withdraw(ticket.origin, accepted.job_id, ticket.key))
            raise
        await until_done(lambda: self._known.queued(ticket.origin))
        return OUTCOMES[found]

    async def _do(
        self, received: Received, submission: Submission, asked: Incoming, operation: DirectOperation
    ) -> Outcome:
        """What needs no job: it is done and told of here. Delivered again after a crash, it is the same thing."""
        ticket, job_id = self._ticket(received, submission, asked.key), received.job_id
        found = await self._claim(_Draft(job_id, asked.key.account, ticket, _fingerprint(submission)))
        if found not in TO_DO:
            return OUTCOMES[found]
        known = replace(asked, number=received.job_number)
        try:
            result = done(ticket, job_id, await until_done(lambda: operation.do(self._door, known), self._patience_s))
        except Exception:
            await until_done(lambda: self._known.withdraw(ticket.origin, job_id, ticket.key))
            raise
        if (key := ticket.key) is not None:
            await until_done(lambda: self._known.remember(job_id, key, RESULT_ENCODER.encode(result)))
        await self._results.publish(result, asked.key.account, received.returned)
        await until_done(lambda: self._known.queued(ticket.origin))
        return OUTCOMES[found]

    def _ticket(self, received: Received, submission: Submission, key: AccessKey) -> Ticket:
        named = submission.idempotency_key
        return Ticket.of(received, submission, None if named is None else submission_key(key.account, named))

    async def _claim(self, draft: _Draft) -> Found:
        """Whether the submission is one of those TO_DO; one that was queued, or that has a twin, is done with here."""
        accepted, ticket = draft.accepted, draft.ticket
        value = b"" if accepted is None else ACCEPTED_ENCODER.encode(accepted)
        look_ms = 0 if accepted is None else accepted.deadline_ms + OVERDUE_MS

        async def claim() -> Claimed:
            return await self._known.claim(
                ticket.origin, draft.job_id, value, look_ms, key=ticket.key, fingerprint=draft.fingerprint
            )

        claimed = await until_done(claim, self._patience_s)
        if claimed.found is Found.TWIN:
            await self._answer_twin(draft, claimed)
        return claimed.found

    async def _queue(self, job: Job, model: Model, ticket: Ticket, traceparent: str | None, found: Found) -> None:
        """One that may be in its lane already is not refused for want of room there: it would have two results."""
        submitter, reserved, again = self._door.submitter, ticket.reserved_tokens, found is Found.AGAIN
        try:
            await until_done(
                lambda: submitter.admit(job, model, ticket.scopes, reserved, again=again), self._patience_s
            )
        except PenstockError:
            await until_done(lambda: self._known.withdraw(ticket.origin, job.id, ticket.key))
            raise
        with self._door.tracing.span("submit", traceparent, model=job.model) as below:
            await until_done(lambda: submitter.queue(job, below))
        await until_done(lambda: self._known.queued(ticket.origin))

    async def _answer_twin(self, draft: _Draft, claimed: Claimed) -> None:
        """What a submission is told whose idempotency key another one has."""
        if claimed.fingerprint != draft.fingerprint:
            raise InvalidValue("'idempotency_key' was used for another request before.", param="idempotency_key")
        if not claimed.result:
            raise KeyInUse(f"The first submission with this 'idempotency_key' still runs, as {claimed.job_id}.")
        ticket = draft.ticket
        twin = msgspec.structs.replace(
            RESULT_DECODER.decode(claimed.result),
            correlation_id=ticket.correlation_id,
            submission=SubmissionPlace(*ticket.origin[:3]),
        )
        await self._results.publish(twin, draft.account, ticket.headers)


def _accepted(job_id: str, account: str, model: Model, context: bytes) -> Accepted:
    now_ms = time.time_ns() // 1_000_000
    return Accepted(job_id, account, model.id, model.lane, now_ms, now_ms + int(model.deadline_s * 1000), context)


def _fingerprint(submission: Submission) -> str:
    """Tells one request from another under the same idempotency key."""
    if submission.idempotency_key is None:
        return ""
    return hashlib.sha256(submission.operation.encode() + bytes(submission.body)).hexdigest()
