"""`/v1/files`: the files that batches are read from and written to."""

import time
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ingress.door import Door
from ingress.keeping import DAY_MS, keep, name_of, own_file
from ingress.listing import Order
from ingress.object_answer import object_answer
from ingress.upload import Form, pieces_of, read_form
from schemas.batches import MOST_FILE_BYTES, File, Upload
from schemas.errors import InUse, InvalidValue
from storage.files import new_file_id

ENDPOINT: Final = "/v1/files"
ONE: Final = ENDPOINT + "/{file_id}"
LEAST_KEPT_S: Final = 3_600
MOST_KEPT_S: Final = 30 * 86_400
"""OpenAI's own bounds of `expires_after`."""

JSON: Final = "application/json"
ENCODE: Final = msgspec.json.Encoder().encode

BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": ["batch"]},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {"type": "integer", "minimum": LEAST_KEPT_S, "maximum": MOST_KEPT_S},
                    },
                }
            }
        },
    }
}

router = APIRouter(tags=["files"])


@router.post(ENDPOINT, summary="Upload a file of requests", openapi_extra=BODY)
async def upload_file(request: Request) -> Response:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    form = await read_form(request, MOST_FILE_BYTES, door.settings.body_s)
    try:
        upload = _upload(form, key.account, door.settings.files_days * DAY_MS)
        content = form.file("file")
        if content is None:
            raise InvalidValue("'file' is required, as a file of the form.", param="file")
        file = await keep(door, msgspec.structs.replace(upload, name=name_of(content.filename)), pieces_of(content))
    finally:
        await form.close()
    return Response(ENCODE(shown(file)), media_type=JSON)


@router.get(ENDPOINT, summary="The account's files")
async def list_files(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 10_000,
    order: Order = "desc",
    after: Annotated[str | None, Query(max_length=100)] = None,
    purpose: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    found = await door.files.list(key.account, purpose, after=after, limit=limit + 1, descending=order == "desc")
    data = [shown(file) for file in found[:limit]]
    page: dict[str, Any] = {
        "object": "list",
        "data": data,
        "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None,
        "has_more": len(found) > limit,
    }
    return Response(ENCODE(page), media_type=JSON)


@router.get(ONE, summary="What is known of a file")
async def retrieve_file(request: Request, file_id: str) -> Response:
    return Response(ENCODE(shown(await _find(request, file_id))), media_type=JSON)


@router.head(ONE + "/content", include_in_schema=False)
@router.get(ONE + "/content", summary="A file's content")
async def download_file(request: Request, file_id: str) -> Response:
    file = await _find(request, file_id)
    return await object_answer(request, file.key, file_name=file.name)


@router.delete(ONE, summary="Delete a file")
async def delete_file(request: Request, file_id: str) -> Response:
    door: Door = request.app.state.door
    file = await _find(request, file_id)
    if (batch := await door.batches.reading(file)) is not None:
        raise InUse(f"The batch {batch} still reads this file. Cancel it first, or wait for its end.")
    await door.files.delete(file)
    # Due at once: whatever process comes next deletes the bytes.
    await door.expiring.expire(file.key, 0)
    return Response(ENCODE({"id": file.id, "object": "file", "deleted": True}), media_type=JSON)


async def _find(request: Request, file_id: str) -> File:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    return await own_file(door, key.account, file_id)


def shown(file: File) -> dict[str, Any]:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_ms // 1000,
        "expires_at": None if file.expires_ms is None else file.expires_ms // 1000,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


def _upload(form: Form, account: str, keep_ms: int) -> Upload:
    purpose = form.text("purpose")
    if purpose is None:
        raise InvalidValue("'purpose' is required.", param="purpose")
    if purpose != "batch":
        raise InvalidValue("'purpose' should be 'batch': files are kept for batches here.", param="purpose")
    anchor, seconds = form.text("expires_after[anchor]"), form.text("expires_after[seconds]")
    if anchor is not None or seconds is not None:
        keep_ms = 1000 * _kept_s(anchor, seconds)
    now_ms = time.time_ns() // 1_000_000
    return Upload(new_file_id(now_ms), account, "", now_ms, now_ms, keep_ms)


def _kept_s(anchor: str | None, seconds: str | None) -> int:
    if anchor != "created_at":
        raise InvalidValue("'expires_after.anchor' should be 'created_at'.", param="expires_after.anchor")
    digits = seconds or ""
    kept_s = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 10 else 0
    if not LEAST_KEPT_S <= kept_s <= MOST_KEPT_S:
        bounds = f"from {LEAST_KEPT_S} to {MOST_KEPT_S}"
        raise InvalidValue(f"'expires_after.seconds' should be {bounds}.", param="expires_after.seconds")
    return kept_s
