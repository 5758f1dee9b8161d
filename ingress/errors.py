"""An error as OpenAI's and DigitalOcean's clients read it."""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from schemas.errors import Cancelled, ErrorData, PenstockError

ENCODE: Final = msgspec.json.Encoder().encode

RETRY_AFTER_S: Final = 1.0
"""What a caller who may try again waits when nothing better is known; law 6 wants a Retry-After with every shed."""


class Kind(NamedTuple):
    """What a status is called: OpenAI's `error.type`, and DigitalOcean's `id`."""

    type: str
    id: str


KINDS: Final[Mapping[int, Kind]] = {
    400: Kind("invalid_request_error", "bad_request"),
    401: Kind("authentication_error", "unauthorized"),
    403: Kind("permission_error", "forbidden"),
    404: Kind("not_found_error", "not_found"),
    405: Kind("invalid_request_error", "method_not_allowed"),
    409: Kind("conflict_error", "conflict"),
    410: Kind("not_found_error", "gone"),
    412: Kind("invalid_request_error", "precondition_failed"),
    413: Kind("invalid_request_error", "request_too_large"),
    416: Kind("invalid_request_error", "range_not_satisfiable"),
    422: Kind("invalid_request_error", "unprocessable_entity"),
    429: Kind("rate_limit_error", "too_many_requests"),
    500: Kind("server_error", "server_error"),
    502: Kind("upstream_error", "bad_gateway"),
    503: Kind("overloaded_error", "service_unavailable"),
    504: Kind("timeout_error", "gateway_timeout"),
}

STATUS_SENT: Final = {Cancelled.status: 409}
"""499 means that nobody waits. Whoever does wait, for a job that was cancelled elsewhere, gets a conflict."""


def openai_error(error: PenstockError | ErrorData, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to a request that failed."""
    data = error.data() if isinstance(error, PenstockError) else error
    status = STATUS_SENT.get(data.status, data.status)
    body = {
        "error": _error(data, status),
        "id": _kind(status).id,
        "message": data.message,
        "request_id": request_id,
        "status_code": status,
    }
    return status, error_headers(data, status), ENCODE(body)


def openai_error_frame(data: ErrorData) -> bytes:
    """The event that ends a stream which failed; the official SDKs raise on it."""
    status = STATUS_SENT.get(data.status, data.status)
    return b"data: " + ENCODE({"error": _error(data, status)}) + b"\n\n"


def _error(data: ErrorData, status: int) -> dict[str, str | None]:
    return {"message": data.message, "type": _kind(status).type, "param": data.param, "code": data.code}


def _kind(status: int) -> Kind:
    return KINDS.get(status) or KINDS[400 if status < 500 else 500]


def error_headers(data: ErrorData, status: int) -> dict[str, str]:
    """What every dialect's clients read: the content's type, when to try again, and whether."""
    headers = {"content-type": "application/json"}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    wait_s = data.retry_after_s
    if wait_s is None and data.retryable:
        wait_s = RETRY_AFTER_S
    if wait_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(wait_s)))
        headers["retry-after-ms"] = str(max(0, math.ceil(wait_s * 1000)))
    # The SDKs repeat these statuses by themselves; whether that can help is not theirs to guess.
    if status in (408, 409, 429) or status >= 500:
        headers["x-should-retry"] = "true" if data.retryable else "false"
    return headers
