"""Batches as OpenAI's and DigitalOcean's clients ask for them and read them: one body pleases both."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from ingress.translate.validation import read
from schemas.batches import Standing
from schemas.errors import InvalidRequest
from schemas.wire.batches import BatchFileRequest, DigitalOceanBatchRequest, OpenAIBatchRequest

WINDOW: Final = "24h"
TIMES: Final = {
    "completed": "completed_at",
    "failed": "failed_at",
    "expired": "expired_at",
    "cancelled": "cancelled_at",
}
"""Where the time of each end stands."""


def parse(body: bytes) -> OpenAIBatchRequest | DigitalOceanBatchRequest:
    """`input_file_id` is OpenAI's, `file_id` or `provider` DigitalOcean's. Raises InvalidRequest and its branches."""
    try:
        given = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise InvalidRequest(f"The body is not valid JSON: {str(fault)[:200]}.") from None
    theirs = isinstance(given, dict) and "input_file_id" not in given and bool({"file_id", "provider"} & given.keys())
    return read(DigitalOceanBatchRequest, body) if theirs else read(OpenAIBatchRequest, body)


def parse_file(body: bytes) -> BatchFileRequest:
    return read(BatchFileRequest, body)


def shown(standing: Standing) -> dict[str, Any]:
    """Times are seconds since the epoch where OpenAI has a field, and RFC 3339 in DigitalOcean's own."""
    batch = standing.batch
    faults = [msgspec.structs.asdict(fault) for fault in standing.faults]
    times: dict[str, Any] = dict.fromkeys(TIMES.values())
    if standing.has_ended:
        times[TIMES[standing.status]] = _seconds(standing.ended_ms)
    changes = (batch.created_ms, standing.in_progress_ms, standing.finalizing_ms)
    updated_ms = max(at for at in (*changes, standing.cancelling_ms, standing.ended_ms) if at is not None)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": {"object": "list", "data": faults} if faults else None,
        "input_file_id": batch.input.id,
        "completion_window": WINDOW,
        "status": standing.status,
        "output_file_id": standing.output_file,
        "error_file_id": standing.error_file,
        "created_at": batch.created_ms // 1000,
        "in_progress_at": _seconds(standing.in_progress_ms),
        "expires_at": batch.expires_ms // 1000,
        "finalizing_at": _seconds(standing.finalizing_ms),
        "cancelling_at": _seconds(standing.cancelling_ms),
        **times,
        "request_counts": {
            "total": standing.total or 0,
            "completed": standing.completed,
            "failed": standing.failed,
        },
        "metadata": batch.metadata,
        "file_id": batch.input.id,
        "provider": batch.lines,
        "request_id": batch.request_id,
        "result_available": has_results(standing),
        "cancel_requested_at": _asked_to_cancel(standing),
        "updated_at": moment(updated_ms),
    }


def page(standings: Sequence[Standing], limit: int) -> dict[str, Any]:
    """As both list them: `standings` may hold one more than are shown."""
    data = [shown(each) for each in standings[:limit]]
    last = data[-1]["id"] if data else None
    more = len(standings) > limit
    return {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": last,
        "has_more": more,
        "edges": [{"cursor": each["id"], "node": each} for each in data],
        "page_info": {"endCursor": last, "hasNextPage": more},
    }


def has_results(standing: Standing) -> bool:
    return standing.has_ended and bool(standing.output_file or standing.error_file)


def moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _asked_to_cancel(standing: Standing) -> str | None:
    """None too where it was not the caller who stopped the batch."""
    if standing.cancelling_ms is None or standing.then is not None:
        return None
    return moment(standing.cancelling_ms)


def _seconds(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000
