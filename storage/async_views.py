"""An async job as callers read it: what polls, lists, streams of events and webhooks show of it.

Here and not at a door, since whoever tells of a job's end does not come through one.
"""

from datetime import UTC, datetime
from typing import Any, Final, Literal

import msgspec

from storage.async_record import AsyncJob, JobFile, Status
from storage.objects import Objects

VIDEO: Final = "video"
"""The operation of a job that makes a video."""

JOB: Final = "job_"
VIDEO_ID: Final = "video_"

INVOKE: Final = "async_invoke"
"""The operation of a job that asks an application in its own words."""

FILE: Final = "penstock-file:"

VideoStatus = Literal["queued", "in_progress", "completed", "failed", "expired"]
GenerationStatus = Literal["processing", "completed", "failed", "cancelled", "expired"]
InvokeStatus = Literal["QUEUED", "IN_PROGRESS", "COMPLETED", "FAILED"]

VIDEO_STATUS: Final[dict[Status, VideoStatus]] = {
    "queued": "queued",
    "in_progress": "in_progress",
    "completed": "completed",
    "failed": "failed",
    # OpenAI's clients know four statuses. A cancelled video is seen by those only who were watching it.
    "cancelled": "failed",
    "expired": "expired",
}
GENERATION_STATUS: Final[dict[Status, GenerationStatus]] = {
    "queued": "processing",
    "in_progress": "processing",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
    "expired": "expired",
}


INVOKE_STATUS: Final[dict[Status, InvokeStatus]] = {
    "queued": "QUEUED",
    "in_progress": "IN_PROGRESS",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "cancelled": "FAILED",
    "expired": "COMPLETED",
}


class Tag(msgspec.Struct, frozen=True):
    """A word of the caller's own, for the caller to know a job by."""

    key: str
    value: str


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """What of a video's request its object repeats; `family` is the one that it was asked for in."""

    family: Literal["videos", "generations"]
    prompt: str
    size: str
    seconds: float
    fps: int


ENCODE: Final = msgspec.msgpack.Encoder().encode
SHOWN: Final = msgspec.msgpack.Decoder(Shown)
TAGS: Final = msgspec.msgpack.Decoder(tuple[Tag, ...])


class Views:
    """Raises OSError where a URL is to be signed and the object storage is out of reach."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def own(self, job: AsyncJob) -> dict[str, Any]:
        """The job in the words of the family it was asked for in."""
        if job.operation == INVOKE:
            return await self.invocation(job)
        if SHOWN.decode(job.context).family == "generations":
            return await self.generation(job)
        return await self.video(job)

    async def video(self, job: AsyncJob) -> dict[str, Any]:
        """As OpenAI's `/v1/videos` has it; `url`, `fps` and the status `expired` are ours."""
        shown = SHOWN.decode(job.context)
        return {
            "id": VIDEO_ID + job.id.removeprefix(JOB),
            "object": "video",
            "model": job.model,
            "status": VIDEO_STATUS[job.status],
            "progress": job.progress,
            "created_at": job.accepted_at_ms // 1000,
            "completed_at": _s(job.ended_at_ms),
            "expires_at": _s(job.expires_at_ms),
            "prompt": shown.prompt,
            "size": shown.size,
            "seconds": f"{shown.seconds:g}",
            "fps": shown.fps,
            "remixed_from_video_id": None,
            "error": _error(job),
            "url": await self._url(job, variant(job, "video")),
        }

    async def generation(self, job: AsyncJob) -> dict[str, Any]:
        """As DigitalOcean's `/v1/video/generations` has it, and what `/v1/videos` tells beside."""
        return {
            **await self.video(job),
            "id": job.id,
            "status": GENERATION_STATUS[job.status],
            "output": None,
            "x_request_id": None,
        }

    async def invocation(self, job: AsyncJob) -> dict[str, Any]:
        """As DigitalOcean's `/v1/async-invoke` has it; `tags`, `progress` and `expires_at` are ours."""
        return {
            "request_id": job.id,
            "status": INVOKE_STATUS[job.status],
            "model_id": job.model,
            "created_at": _rfc3339(job.accepted_at_ms),
            "started_at": _rfc3339(job.started_at_ms),
            "completed_at": _rfc3339(job.ended_at_ms),
            "expires_at": _rfc3339(job.expires_at_ms),
            "progress": job.progress,
            "output": await self._output(job),
            "error": _invocation_error(job),
            "tags": TAGS.decode(job.context),
        }

    async def _output(self, job: AsyncJob) -> Any:
        """What the application answered, with a URL wherever it stands for a file that is stored here."""
        files = job.ending.files if job.ending else ()
        urls = {placeholder(file.name): await self._url(job, file if job.files else None) for file in files}
        return _with(job.output, urls) if urls else job.output

    async def _url(self, job: AsyncJob, file: JobFile | None) -> str | None:
        if file is None or job.expires_at_ms is None:
            return None
        return await self._objects.signed_url(file.key, job.expires_at_ms, file_name=file.name)


def video_job_id(shown: str) -> str:
    """The id of the job that either family shows as this."""
    return JOB + shown.removeprefix(VIDEO_ID).removeprefix(JOB)


def variant(job: AsyncJob, name: str) -> JobFile | None:
    """The job's file of this name, whatever its ending."""
    return next((file for file in job.files if file.name.partition(".")[0] == name), None)


def placeholder(name: str) -> str:
    """What stands in an application's answer for the file of this name, until it is shown to a caller."""
    return FILE + name


def _with(value: Any, urls: dict[str, str | None]) -> Any:
    match value:
        case dict():
            return {name: _with(each, urls) for name, each in value.items()}
        case list():
            return [_with(each, urls) for each in value]
        case str():
            return urls.get(value, value)
        case _:
            return value


def _rfc3339(at_ms: int | None) -> str | None:
    if at_ms is None:
        return None
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _invocation_error(job: AsyncJob) -> str | None:
    if job.status == "cancelled":
        return "The job was cancelled."
    return None if job.error is None else job.error.message


def _s(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000


def _error(job: AsyncJob) -> dict[str, str] | None:
    if job.status == "cancelled":
        return {"code": "cancelled", "message": "The video was cancelled."}
    return None if job.error is None else {"code": job.error.code, "message": job.error.message}
