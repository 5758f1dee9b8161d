"""What a webhook says: that a long job has ended, and how it stands."""

from typing import Any, Final

import msgspec

from schemas.usage import End
from storage.async_record import AsyncJob
from storage.async_views import JOB

OUTCOMES: Final[dict[End, str]] = {
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    # Its deadline passed: `expired` is said of files.
    "expired": "failed",
}
ENCODE: Final = msgspec.json.Encoder().encode


def event_id(job: AsyncJob) -> str:
    """The same for every call about this job's end, for receivers to tell a repeated one by."""
    return "evt_" + job.id.removeprefix(JOB)


def event(job: AsyncJob, view: dict[str, Any]) -> bytes:
    """OpenAI's envelope, as in `video.completed`; `data` is the job as a poll of it shows it."""
    assert job.ending is not None, job.id
    return ENCODE(
        {
            "id": event_id(job),
            "object": "event",
            "type": f"{job.operation}.{OUTCOMES[job.ending.end]}",
            "created_at": job.ending.ended_at_ms // 1000,
            "data": view,
        }
    )
