"""Where fal calls when it is done with a job: the job is asked for now and not at its next turn.

Nothing that a call says is believed. Whoever could forge one would only have fal asked a moment earlier.
"""

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.body import read_body
from ingress.door import Door
from schemas.errors import NotFound
from storage.async_record import JobName

MOST_BYTES: Final = 4 * 1024 * 1024
"""A call carries the whole result."""

router = APIRouter()


@router.post("/v1/webhooks/fal/{account}/{job_id}", include_in_schema=False)
async def hear(request: Request, account: str, job_id: str) -> Response:
    door: Door = request.app.state.door
    body = await read_body(request, MOST_BYTES, door.settings.body_s)
    await door.fal_signature.check(request.headers, body)
    name = JobName(account, job_id)
    if await door.jobs.get(name.account, name.id) is None:
        raise NotFound("There is no such job.")
    await door.jobs.hasten(name)
    return Response(status_code=204)
