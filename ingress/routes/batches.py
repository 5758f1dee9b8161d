"""`/v1/batches`: many requests in one file, answered within a day in another; OpenAI's routes and DigitalOcean's."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ingress.door import Door
from ingress.incoming import Incoming, incoming
from ingress.keeping import alone, keep
from ingress.operations.batches import ENDPOINT, FILES, announce, create
from ingress.operations.operation import Done
from ingress.translate.batches import has_results, moment, page, shown
from ingress.upload import received
from schemas.batches import MOST_FILE_BYTES, Standing
from schemas.errors import Expired, NotFound, PreconditionFailed, TooLate, Undecidable
from storage.batches import BatchName
from storage.files import put_name

ONE: Final = ENDPOINT + "/{batch_id}"
JSON: Final = "application/json"
URL_MS: Final = 3_600_000
"""How long a URL of a result is good; another is given for the asking."""

ENCODE: Final = msgspec.json.Encoder().encode


def _body(*names: str) -> dict[str, Any]:
    schemas = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


router = APIRouter(tags=["batches"])


@router.post(
    FILES, status_code=201, summary="Announce a file, to be put at a URL", openapi_extra=_body("BatchFileRequest")
)
async def announce_file(request: Request) -> Response:
    return await _done(request, announce)


@router.put(FILES + "/{token}", summary="Put a file that was announced")
async def put_file(request: Request, token: str) -> Response:
    """Needs no access key: the URL is known to whoever announced the file, and good for it alone, once."""
    door: Door = request.app.state.door
    upload = await door.files.announced(token)
    if upload is None:
        raise Expired("This URL is none that files are put at, or its time is over. Announce the file again.")
    async with alone(door, put_name(token)):
        if await door.files.get(upload.account, upload.id) is not None:
            raise TooLate("This file has been put. Announce another one.")
        await keep(door, upload, received(request, MOST_FILE_BYTES, door.settings.body_s))
    return Response(status_code=200)


@router.post(ENDPOINT, summary="Start a batch", openapi_extra=_body("OpenAIBatchRequest", "DigitalOceanBatchRequest"))
async def create_batch(request: Request) -> Response:
    return await _done(request, create)


@router.get(ENDPOINT, summary="The account's batches, newest first")
async def list_batches(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> Response:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    found = await door.batches.list(key.account, after=after, limit=limit + 1)
    return Response(ENCODE(page(found, limit)), media_type=JSON)


@router.get(ONE, summary="How a batch stands")
async def retrieve_batch(request: Request, batch_id: str) -> Response:
    return Response(ENCODE(shown(await _find(request, batch_id))), media_type=JSON)


@router.post(ONE + "/cancel", summary="Feed a batch no further; what runs is let end")
async def cancel_batch(request: Request, batch_id: str) -> Response:
    door: Door = request.app.state.door
    batch = (await _find(request, batch_id)).batch
    status = await door.batches.cancel(BatchName(batch.account, batch.id), _now_ms())
    if status != "cancelling":
        raise TooLate(f"The batch cannot be cancelled: it is {status}.")
    return Response(ENCODE(shown(await _find(request, batch_id))), media_type=JSON)


@router.get(ONE + "/results", summary="Where a batch's results are")
async def batch_results(request: Request, batch_id: str) -> Response:
    door: Door = request.app.state.door
    standing = await _find(request, batch_id)
    if not has_results(standing):
        ready = "It has ended without any" if standing.has_ended else "They are not ready"
        raise PreconditionFailed(f"The batch has no results. {ready}: it is {standing.status}.")
    until_ms = _now_ms() + URL_MS
    output = await _url(door, standing, standing.output_file, until_ms)
    errors = await _url(door, standing, standing.error_file, until_ms)
    told = {
        "batch_id": standing.batch.id,
        "status": standing.status,
        "result_available": True,
        "output_file_id": standing.output_file,
        "error_file_id": standing.error_file,
        "output_file_url": output,
        "error_file_url": errors,
        "download": {"presigned_url": output or errors, "expires_at": moment(until_ms)},
    }
    return Response(ENCODE(told), media_type=JSON)


async def _done(request: Request, do: Callable[[Door, Incoming], Awaitable[Done]]) -> Response:
    door: Door = request.app.state.door
    done = await do(door, await incoming(door, request))
    return Response(done.body, done.status, media_type=JSON)


async def _url(door: Door, standing: Standing, file_id: str | None, until_ms: int) -> str | None:
    """None too for a file that is kept no more."""
    file = None if file_id is None else await door.files.get(standing.batch.account, file_id)
    if file is None:
        return None
    try:
        return await door.objects.signed_url(file.key, until_ms, file_name=file.name)
    except OSError as failure:
        raise Undecidable("The object storage is out of reach.", retry_after_s=5) from failure


async def _find(request: Request, batch_id: str) -> Standing:
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    standing = await door.batches.get(key.account, batch_id)
    if standing is None:
        raise NotFound(f"No batch found with id '{batch_id[:100]}'.", param="batch_id")
    return standing


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
