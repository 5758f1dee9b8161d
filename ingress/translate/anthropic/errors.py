"""An error as Anthropic's clients read it."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec

from ingress.errors import STATUS_SENT, error_headers
from ingress.translate.one_line import one_line
from schemas.errors import ContextLengthExceeded, EngineUnavailable, ErrorData, PenstockError

ENCODE: Final = msgspec.json.Encoder().encode

OVERLOADED: Final = 529

TOO_LONG: Final = re.compile("prompt is too long|input length and `max_tokens` exceed context limit")
"""Anthropic's words; clients know by nothing else that they should shorten the conversation."""

TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    OVERLOADED: "overloaded_error",
}


def anthropic_error(error: PenstockError | ErrorData, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a request that failed."""
    data = error.data() if isinstance(error, PenstockError) else error
    status = status_of(data)
    body = {"type": "error", "error": _error(data, status), "request_id": request_id}
    return status, error_headers(data, status), ENCODE(body)


def anthropic_error_event(data: ErrorData) -> bytes:
    """The event that ends a stream which failed; the official SDKs raise on it."""
    body = {"type": "error", "error": _error(data, status_of(data))}
    return b"event: error\ndata: " + one_line(body) + b"\n\n"


def anthropic_headers(headers: Mapping[str, str], request_id: str) -> dict[str, str]:
    """The answer's own headers in this dialect's words: how the limits stand, and the request's id."""
    named = {"request-id": request_id}
    for own, theirs in (("requests", "requests"), ("tokens-per-minute", "tokens")):
        if f"x-ratelimit-limit-{own}" not in headers:
            continue
        named[f"anthropic-ratelimit-{theirs}-limit"] = headers[f"x-ratelimit-limit-{own}"]
        named[f"anthropic-ratelimit-{theirs}-remaining"] = headers[f"x-ratelimit-remaining-{own}"]
        named[f"anthropic-ratelimit-{theirs}-reset"] = _moment(headers[f"x-ratelimit-reset-{own}"])
    return {**headers, **named}


def status_of(data: ErrorData) -> int:
    """The status in this dialect, where every passing lack of room is the one that its clients wait for."""
    if data.status == 503 or data.code == EngineUnavailable.code:
        return OVERLOADED
    return STATUS_SENT.get(data.status, data.status)


def _error(data: ErrorData, status: int) -> dict[str, str]:
    message = data.message
    if data.code == ContextLengthExceeded.code and not TOO_LONG.match(message):
        message = f"prompt is too long: {message}"
    return {"type": TYPES.get(status) or TYPES[400 if status < 500 else 500], "message": message}


def _moment(epoch_s: str) -> str:
    """RFC 3339, to the second; a reset at 0 means that there is room now."""
    at = datetime.fromtimestamp(int(epoch_s), UTC) if epoch_s != "0" else datetime.now(UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
