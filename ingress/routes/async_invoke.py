"""`/v1/async-invoke`: applications asked in their own words, and their answers fetched when they are there."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ingress.door import Door
from ingress.incoming import incoming
from ingress.listing import Order
from ingress.operations.invocations import ENDPOINT, NAME, ask, started
from ingress.watching import Wait, followed, settled
from schemas.errors import NotFound, Undecidable
from storage.async_record import AsyncJob

JSON: Final = "application/json"
ENCODE: Final = msgspec.json.Encoder().encode
BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": {"$ref": "#/components/schemas/AsyncInvokeRequest"}}},
    }
}
WITHOUT_OUTPUT: Final = ("output", "tags")

router = APIRouter()


@router.post(ENDPOINT, status_code=202, summary="Ask an application in its own words", openapi_extra=BODY)
async def invoke(request: Request) -> Response:
    """Answers once nothing that dies can lose the job: its record is made, and the log has acknowledged it."""
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    job, headers = await started(door, asked, await ask(door, asked))
    return Response(ENCODE(await _shown(door, job)), 202, headers, JSON)


@router.get(ENDPOINT, summary="The account's invocations, newest first")
async def list_invocations(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    jobs = await door.jobs.list(key.account, NAME, after=after, limit=limit + 1, descending=order == "desc")
    data = [await _shown(door, job) for job in jobs[:limit]]
    page: dict[str, Any] = {
        "object": "list",
        "data": data,
        "first_id": data[0]["request_id"] if data else None,
        "last_id": data[-1]["request_id"] if data else None,
        "has_more": len(jobs) > limit,
    }
    return Response(ENCODE(page), media_type=JSON)


@router.get(ENDPOINT + "/{request_id}", summary="An invocation and, once it is there, its output")
async def retrieve_invocation(request: Request, request_id: str, wait: Wait = 0) -> Response:
    door: Door = request.app.state.door
    job = await settled(door, await _find(door, request, request_id), wait)
    return Response(ENCODE(await _shown(door, job)), media_type=JSON)


@router.get(ENDPOINT + "/{request_id}/status", summary="How an invocation stands, without its output")
async def invocation_status(request: Request, request_id: str, wait: Wait = 0) -> Response:
    door: Door = request.app.state.door
    job = await settled(door, await _find(door, request, request_id), wait)
    shown = await _shown(door, job)
    return Response(ENCODE({name: shown[name] for name in shown if name not in WITHOUT_OUTPUT}), media_type=JSON)


@router.get(ENDPOINT + "/{request_id}/events", summary="A stream of events about an invocation, up to its end")
async def watch_invocation(request: Request, request_id: str) -> Response:
    door: Door = request.app.state.door
    return followed(door, await _find(door, request, request_id), NAME, door.views.invocation)


@router.post(ENDPOINT + "/{request_id}/cancel", summary="End an invocation that has not ended")
async def cancel_invocation(request: Request, request_id: str) -> Response:
    """One that has ended is answered as it ended: a cancel that comes too late changes nothing."""
    door: Door = request.app.state.door
    job = await _find(door, request, request_id)
    return Response(ENCODE(await _shown(door, await door.jobs.cancel(job) or job)), media_type=JSON)


@router.delete(ENDPOINT + "/{request_id}", summary="Forget an invocation; one that runs is cancelled first")
async def delete_invocation(request: Request, request_id: str) -> Response:
    door: Door = request.app.state.door
    job = await _find(door, request, request_id)
    await door.jobs.cancel(job)
    await door.jobs.delete(job)
    return Response(ENCODE({"request_id": job.id, "deleted": True}), media_type=JSON)


async def _find(door: Door, request: Request, request_id: str) -> AsyncJob:
    key = await door.authenticate(request)
    job = await door.jobs.get(key.account, request_id)
    if job is None or job.operation != NAME:
        raise NotFound(f"There is no invocation '{request_id[:100]}'.", param="request_id")
    return job


async def _shown(door: Door, job: AsyncJob) -> dict[str, Any]:
    try:
        return await door.views.invocation(job)
    except OSError as failure:
        raise Undecidable("The object storage is out of reach.", retry_after_s=1) from failure
