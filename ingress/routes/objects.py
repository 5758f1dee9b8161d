"""`/objects/…`: files by signed URLs, where object storage is a folder; S3 serves its own."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.door import Door
from ingress.object_answer import object_answer
from schemas.errors import NotFound
from storage.objects import ServedHere

router = APIRouter(prefix="/objects", tags=["objects"])


@router.head("/{key:path}", include_in_schema=False)
@router.get("/{key:path}", summary="Read a file by the URL that was given for it")
async def read_object(request: Request, key: str) -> Response:
    """Needs no access key: the URL is signed, for one file and a time."""
    door: Door = request.app.state.door
    if not isinstance(door.objects, ServedHere):
        raise NotFound("Files are read where their URLs lead.")
    file_name = door.objects.check(key, request.query_params, time.time_ns() // 1_000_000)
    return await object_answer(request, key, file_name=file_name)
