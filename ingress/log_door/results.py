"""Results on their way to the producers."""

import time
from typing import Final

import msgspec

from ingress import metrics
from ingress.dialect import dialect_of
from ingress.log_door.patience import until_done
from ingress.log_door.received import Received
from ingress.log_door.ticket import Ticket
from ingress.operations.operation import Done
from schemas.chunks import Ended
from schemas.errors import ErrorData, PenstockError, Undecidable
from schemas.topics import DEAD_LETTERS, RESULTS
from schemas.usage import Usage
from schemas.wire.submissions import ENCODER, NO_BODY, Result, ResultError, ResultUsage, SubmissionPlace
from storage.expiring import ExpiringObjects
from storage.kafka import MESSAGE_LIMIT_BYTES, Header, LogProducer
from storage.objects import Objects
from storage.submissions import Origin

BODY_KEPT_MS: Final = 86_400_000
"""How long a body that is too large for a message can be read from its URL."""

REASON_CHARS: Final = 500


class Results:
    """What is published is acknowledged by every in-sync replica when its call returns, however long Kafka is away."""

    def __init__(self, producer: LogProducer, objects: Objects, bodies: ExpiringObjects) -> None:
        self._producer = producer
        self._objects = objects
        self._bodies = bodies

    async def publish(self, result: Result, account: str, headers: tuple[Header, ...]) -> None:
        """One too large for a message has its body in object storage, and says where."""
        value = ENCODER.encode(result)
        if len(value) + sum(len(name) + len(text) for name, text in headers) > MESSAGE_LIMIT_BYTES:
            value = ENCODER.encode(await self.by_url(result, account))
        key = account.encode() or None
        await until_done(lambda: self._producer.publish(RESULTS, value, key=key, headers=headers))

    async def by_url(self, result: Result, account: str) -> Result:
        """The same result with its body in object storage."""
        key, body = f"media/{account}/{result.id}/result.json", bytes(result.body)
        until_ms = time.time_ns() // 1_000_000 + BODY_KEPT_MS

        async def put() -> str:
            try:
                await self._bodies.put(key, body, until_ms)
                return await self._objects.signed_url(key, until_ms)
            except OSError as failure:
                raise Undecidable("A result cannot be stored at the moment.") from failure

        return msgspec.structs.replace(result, body=NO_BODY, body_url=await until_done(put))

    async def set_aside(self, received: Received, reason: str) -> None:
        """Moves a message that cannot be read to the dead letters; its access key stays behind."""
        origin = "/".join(map(str, received.origin[:3]))
        why: list[Header] = [("reason", reason[:REASON_CHARS].encode()), ("origin", origin.encode())]
        fits = sum(len(n) + len(v) for n, v in received.returned) + len(received.value) < MESSAGE_LIMIT_BYTES
        value, headers = (received.value, [*received.returned, *why]) if fits else (b"", why)
        await until_done(lambda: self._producer.publish(DEAD_LETTERS, value, headers=headers))
        metrics.ERRORS.labels("dead_letter").inc()


def refused(error: PenstockError, job_id: str, ticket: Ticket | None, origin: Origin) -> Result:
    """The result of a submission that did not become a job, or of a job of which nothing else is known."""
    return _failed(_blank(job_id, ticket, origin), error.data())


def ended(ticket: Ticket, job_id: str, model: str, end: Ended, body: bytes) -> Result:
    """The result of a job that has come to this end; `body` is what it gave, if it gave anything."""
    blank = msgspec.structs.replace(_blank(job_id, ticket, ticket.origin), model=model, usage=_usage(end.usage))
    if end.error is not None:
        return _failed(blank, end.error)
    return msgspec.structs.replace(blank, status=200, body=msgspec.Raw(body))


def done(ticket: Ticket, job_id: str, what: Done) -> Result:
    """The result of a submission that needed no job."""
    return msgspec.structs.replace(
        _blank(job_id, ticket, ticket.origin), status=what.status, body=msgspec.Raw(what.body)
    )


def _blank(job_id: str, ticket: Ticket | None, origin: Origin) -> Result:
    place = SubmissionPlace(*origin[:3])
    if ticket is None:
        return Result(job_id, 0, submission=place)
    return Result(
        job_id,
        0,
        submission=place,
        operation=ticket.operation,
        correlation_id=ticket.correlation_id,
        idempotency_key=ticket.idempotency_key,
    )


def _failed(blank: Result, error: ErrorData) -> Result:
    metrics.ERRORS.labels(error.code).inc()
    status, _, body = dialect_of(blank.operation or "").error(error, blank.id)
    why = ResultError(error.code, error.message, error.param, error.retryable, error.retry_after_s)
    return msgspec.structs.replace(blank, status=status, body=msgspec.Raw(body), error=why)


def _usage(usage: Usage) -> ResultUsage:
    return ResultUsage(
        usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens, usage.units
    )
