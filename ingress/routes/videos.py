"""Videos, in OpenAI's family of routes and in DigitalOcean's: the same jobs, each shown in the family's own words."""

import time
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ingress.door import Door
from ingress.incoming import incoming
from ingress.listing import Order
from ingress.object_answer import object_answer
from ingress.operations.videos import GENERATIONS, NAME, Family, ask, started
from ingress.videos_contract import ENDPOINT
from ingress.watching import View, Wait, followed, poll_headers, settled
from schemas.errors import Conflict, Expired, InvalidValue, NotFound, Undecidable
from storage.async_record import AsyncJob
from storage.async_views import variant, video_job_id

VARIANTS: Final = ("video", "thumbnail")
JSON: Final = "application/json"
ENCODE: Final = msgspec.json.Encoder().encode

BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            kind: {"schema": {"$ref": "#/components/schemas/VideoRequest"}} for kind in (JSON, "multipart/form-data")
        },
    }
}

router = APIRouter()


class _Family(NamedTuple):
    name: Family
    view: View


def _family(request: Request) -> _Family:
    door: Door = request.app.state.door
    if request.url.path.startswith(GENERATIONS):
        return _Family("generations", door.views.generation)
    return _Family("videos", door.views.video)


@router.post(ENDPOINT, status_code=202, summary="Have a video made", openapi_extra=BODY)
@router.post(GENERATIONS, status_code=202, summary="Have a video made", openapi_extra=BODY)
async def create_video(request: Request) -> Response:
    """Answers once nothing that dies can lose the job: its record is made, and the log has acknowledged it."""
    door: Door = request.app.state.door
    asked, family = await incoming(door, request), _family(request)
    job, headers = await started(door, asked, await ask(door, asked), family.name)
    return await _shown(family, job, 202, headers)


@router.get(ENDPOINT, summary="The account's videos, newest first")
@router.get(GENERATIONS, summary="The account's videos, newest first")
async def list_videos(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    door: Door = request.app.state.door
    key, family = await door.authenticate(request), _family(request)
    behind = None if after is None else video_job_id(after)
    jobs = await door.jobs.list(key.account, NAME, after=behind, limit=limit + 1, descending=order == "desc")
    data = [await family.view(job) for job in jobs[:limit]]
    page: dict[str, Any] = {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(jobs) > limit,
    }
    return Response(ENCODE(page), media_type=JSON)


@router.get(ENDPOINT + "/{video_id}", summary="How a video stands; with `wait`, once it has ended")
@router.get(GENERATIONS + "/{video_id}", summary="How a video stands; with `wait`, once it has ended")
async def retrieve_video(request: Request, video_id: str, wait: Wait = 0) -> Response:
    door: Door = request.app.state.door
    job = await settled(door, await _find(door, request, video_id), wait)
    return await _shown(_family(request), job, 200, {})


@router.get(ENDPOINT + "/{video_id}/events", summary="A stream of events about a video, up to its end")
@router.get(GENERATIONS + "/{video_id}/events", summary="A stream of events about a video, up to its end")
async def watch_video(request: Request, video_id: str) -> Response:
    door: Door = request.app.state.door
    return followed(door, await _find(door, request, video_id), NAME, _family(request).view)


@router.delete(ENDPOINT + "/{video_id}", summary="Forget a video; one that is being made is cancelled first")
@router.delete(GENERATIONS + "/{video_id}", summary="Forget a video; one that is being made is cancelled first")
async def delete_video(request: Request, video_id: str) -> Response:
    door: Door = request.app.state.door
    job = await _find(door, request, video_id)
    await door.jobs.cancel(job)
    await door.jobs.delete(job)
    shown = (await _family(request).view(job))["id"]
    return Response(ENCODE({"id": shown, "object": "video.deleted", "deleted": True}), media_type=JSON)


@router.get(ENDPOINT + "/{video_id}/content", summary="A video's file")
@router.head(ENDPOINT + "/{video_id}/content", include_in_schema=False)
@router.get(GENERATIONS + "/{video_id}/content", summary="A video's file")
@router.head(GENERATIONS + "/{video_id}/content", include_in_schema=False)
async def download_video(
    request: Request,
    video_id: str,
    which: Annotated[str, Query(alias="variant", max_length=32, description="video or thumbnail")] = "video",
) -> Response:
    door: Door = request.app.state.door
    job = await _find(door, request, video_id)
    if which not in VARIANTS:
        raise InvalidValue(f"'variant' should be one of: {', '.join(VARIANTS)}.", param="variant")
    file = variant(job, which)
    if file is None:
        raise _no_file(job, which)
    return await object_answer(request, file.key, file_name=file.name)


def _no_file(job: AsyncJob, which: str) -> NotFound | Conflict:
    match job.status:
        case "queued" | "in_progress":
            return Conflict("The video is not ready yet.", retry_after_s=1)
        case "expired":
            return Expired("The video has expired: files are kept for a while after completion, and then deleted.")
        case "completed":
            return NotFound(f"The video has no {which}.", param="variant")
        case _:
            reason = job.error.message if job.error else "it was cancelled"
            return NotFound(f"There is no file, for the video was not made: {reason}")


async def _find(door: Door, request: Request, video_id: str) -> AsyncJob:
    key = await door.authenticate(request)
    job = await door.jobs.get(key.account, video_job_id(video_id))
    if job is None or job.operation != NAME:
        raise NotFound(f"Video with id '{video_id[:100]}' not found.", param="video_id")
    return job


async def _shown(family: _Family, job: AsyncJob, status: int, headers: dict[str, str]) -> Response:
    try:
        body = ENCODE(await family.view(job))
    except OSError as failure:
        raise Undecidable("The object storage is out of reach.", retry_after_s=1) from failure
    own = {**headers, **poll_headers(job, time.time_ns() // 1_000_000)}
    return Response(body, status, own, JSON)
