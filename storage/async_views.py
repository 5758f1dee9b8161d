"""An async job as callers read it: what polls, lists, streams of events and webhooks show of it.

Here and not at a door, since whoever tells of a job's end does not come through one.
"""

from typing import Any, Final, Literal

import msgspec

from storage.async_record import AsyncJob, JobFile, Status
from storage.objects import Objects

VIDEO: Final = "video"
"""The operation of a job that makes a video."""

JOB: Final = "job_"
VIDEO_ID: Final = "video_"

VideoStatus = Literal["queued", "in_progress", "completed", "failed", "expired"]
GenerationStatus = Literal["processing", "completed", "failed", "cancelled", "expired"]

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


class Shown(msgspec.Struct, frozen=True, array_like=True):
    """What of a video's request its object repeats; `family` is the one that it was asked for in."""

    family: Literal["videos", "generations"]
    prompt: str
    size: str
    seconds: float
    fps: int


ENCODE: Final = msgspec.msgpack.Encoder().encode
SHOWN: Final = msgspec.msgpack.Decoder(Shown)


class Views:
    """Raises OSError where a URL is to be signed and the object storage is out of reach."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def own(self, job: AsyncJob) -> dict[str, Any]:
        """The job in the words of the family it was asked for in."""
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


def _s(at_ms: int | None) -> int | None:
    return None if at_ms is None else at_ms // 1000


def _error(job: AsyncJob) -> dict[str, str] | None:
    if job.status == "cancelled":
        return {"code": "cancelled", "message": "The video was cancelled."}
    return None if job.error is None else {"code": job.error.code, "message": job.error.message}
