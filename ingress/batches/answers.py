"""A line's row in the output or error file, in the words of whoever's lines they are."""

import hashlib
from typing import Any, Final, NamedTuple

import msgspec

from ingress.dialect import dialect_of
from schemas.batches import LineShape
from schemas.errors import ErrorData, PenstockError

ENCODE: Final = msgspec.json.Encoder().encode

STOPPED: Final = {
    "batch_expired": "This request could not be executed before the completion window expired.",
    "batch_cancelled": "This request was not executed before its batch was cancelled.",
}
"""Why a line was not run to its end, and what its caller is told."""

ANTHROPIC_STOPPED: Final = {"batch_expired": "expired", "batch_cancelled": "canceled"}


class Row(NamedTuple):
    """`failed` rows go to the error file."""

    line: int
    failed: bool
    value: bytes


class Named(NamedTuple):
    """A line, as its row names it."""

    batch: str
    line: int
    custom_id: str
    shape: LineShape


def line_job_id(batch: str, created_ms: int, line: int) -> str:
    """The id of a line's job: the same however often, and by whomever, the line is read."""
    digest = hashlib.sha256(f"{batch}/{line}".encode()).hexdigest()
    return f"job_{created_ms:012x}{digest[:20]}"


def answered(named: Named, job_id: str, body: bytes) -> Row:
    """The row of an answer."""
    if named.shape == "anthropic":
        return _row(named, False, result={"type": "succeeded", "message": msgspec.Raw(body)})
    response = {"status_code": 200, "request_id": job_id, "body": msgspec.Raw(body)}
    return _row(named, False, response=response, error=None)


def refused(named: Named, job_id: str, operation: str, error: PenstockError | ErrorData) -> Row:
    """The row of an error, which says what HTTP would have answered."""
    status, _, body = dialect_of(operation).error(error, job_id)
    if named.shape == "anthropic":
        return _row(named, True, result={"type": "errored", "error": msgspec.Raw(body)})
    response = {"status_code": status, "request_id": job_id, "body": msgspec.Raw(body)}
    return _row(named, True, response=response, error=None)


def stopped(named: Named, code: str) -> Row:
    """The row of a line that came to no end of its own; `code` is one of STOPPED."""
    if named.shape == "anthropic":
        return _row(named, True, result={"type": ANTHROPIC_STOPPED[code]})
    return _row(named, True, response=None, error={"code": code, "message": STOPPED[code]})


def _row(named: Named, failed: bool, **rest: Any) -> Row:
    own: dict[str, Any] = {"custom_id": named.custom_id}
    if named.shape == "openai":
        own = {"id": f"batch_req_{named.batch.removeprefix('batch_')}_{named.line}", **own}
    return Row(named.line, failed, ENCODE({**own, **rest}))
