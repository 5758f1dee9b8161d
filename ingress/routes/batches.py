"""`/v1/batches`: many requests in one file, answered within a day in another; OpenAI's routes and DigitalOcean's."""

import secrets
import time
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from ingress.batches.endpoints import checked_endpoint
from ingress.door import Door
from ingress.incoming import Incoming, incoming
from ingress.keeping import keep
from ingress.routes.files import DAY_MS, JSON, find_file, name_of
from ingress.translate.batches import has_results, moment, page, parse, parse_file, shown
from ingress.upload import received
from schemas.batches import MOST_FILE_BYTES, Batch, File, Standing, Upload
from schemas.errors import (
    Expired,
    InvalidValue,
    NotFound,
    PreconditionFailed,
    RateLimited,
    TooLate,
    Undecidable,
    UnsupportedParameter,
)
from schemas.wire.batches import DigitalOceanBatchRequest, OpenAIBatchRequest
from storage.batches import BatchName, new_batch_id
from storage.files import new_file_id

ENDPOINT: Final = "/v1/batches"
ONE: Final = ENDPOINT + "/{batch_id}"
FILES: Final = ENDPOINT + "/files"
MESSAGES: Final = "/v1/messages"
"""What a batch asks whose lines are Anthropic's."""

WINDOW_MS: Final = DAY_MS
UPLOAD_MS: Final = 3_600_000
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
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    name = name_of(parse_file(asked.body).file_name)
    now_ms, token = _now_ms(), secrets.token_urlsafe(32)
    keep_ms = door.settings.files_days * DAY_MS
    upload = Upload(new_file_id(now_ms), asked.key.account, name, now_ms, now_ms + UPLOAD_MS, keep_ms)
    await door.files.announce(upload, token)
    url = f"{door.public_url}{FILES}/{token}"
    told = {"file_id": upload.id, "upload_url": url, "expires_at": moment(upload.until_ms)}
    return Response(ENCODE(told), 201, media_type=JSON)


@router.put(FILES + "/{token}", summary="Put a file that was announced")
async def put_file(request: Request, token: str) -> Response:
    """Needs no access key: the URL is known to whoever announced the file, and good for it alone, once."""
    door: Door = request.app.state.door
    upload = await door.files.announced(token)
    if upload is None:
        raise Expired("This URL is none that files are put at, or its time is over. Announce the file again.")
    if await door.files.get(upload.account, upload.id) is not None:
        raise TooLate("This file has been put. Announce another one.")
    await keep(door, upload, received(request, MOST_FILE_BYTES, door.settings.body_s))
    return Response(status_code=200)


@router.post(ENDPOINT, summary="Start a batch", openapi_extra=_body("OpenAIBatchRequest", "DigitalOceanBatchRequest"))
async def create_batch(request: Request) -> Response:
    """Answers once the batch's record is made: from then on nothing that dies can lose it."""
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    wanted = parse(asked.body)
    match wanted:
        case OpenAIBatchRequest():
            status, batch = 200, await _openai(door, asked, request, wanted)
        case DigitalOceanBatchRequest():
            status, batch = 201, await _digitalocean(door, asked, request, wanted)
    await _keep_input(door, batch)
    made = await door.batches.create(batch, door.settings.batches_open)
    if made is None:
        most = door.settings.batches_open
        raise RateLimited(f"{most} batches of this account are under way. Wait for one to end.", retry_after_s=60)
    standing = await door.batches.get(batch.account, made)
    assert standing is not None, made
    return Response(ENCODE(shown(standing)), status, media_type=JSON)


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


async def _openai(door: Door, asked: Incoming, request: Request, wanted: OpenAIBatchRequest) -> Batch:
    kept = wanted.output_expires_after
    keep_ms = door.settings.files_days * DAY_MS if kept is None else kept.seconds * 1000
    source = await _input(request, wanted.input_file_id, "input_file_id")
    now_ms = _now_ms()
    return Batch(
        id=new_batch_id(now_ms),
        account=asked.key.account,
        key=asked.key,
        address=None if asked.address is None else str(asked.address),
        family="openai",
        lines="openai",
        endpoint=checked_endpoint(wanted.endpoint),
        input=source,
        created_ms=now_ms,
        expires_ms=now_ms + WINDOW_MS,
        output_keep_ms=keep_ms,
        metadata=wanted.metadata,
    )


async def _digitalocean(door: Door, asked: Incoming, request: Request, wanted: DigitalOceanBatchRequest) -> Batch:
    if wanted.provider == "anthropic":
        if wanted.endpoint is not None:
            raise UnsupportedParameter("'endpoint' has no place beside the provider 'anthropic'.", param="endpoint")
        endpoint = MESSAGES
    elif wanted.endpoint is None:
        raise InvalidValue("'endpoint' is required with the provider 'openai'.", param="endpoint")
    else:
        endpoint = checked_endpoint(wanted.endpoint)
    source = await _input(request, wanted.file_id, "file_id")
    now_ms = _now_ms()
    return Batch(
        id=new_batch_id(now_ms),
        account=asked.key.account,
        key=asked.key,
        address=None if asked.address is None else str(asked.address),
        family="digitalocean",
        lines=wanted.provider,
        endpoint=endpoint,
        input=source,
        created_ms=now_ms,
        expires_ms=now_ms + WINDOW_MS,
        output_keep_ms=door.settings.files_days * DAY_MS,
        metadata=wanted.metadata,
        request_id=wanted.request_id,
    )


async def _input(request: Request, file_id: str, param: str) -> File:
    file = await find_file(request, file_id, param)
    if file.purpose != "batch":
        raise InvalidValue(f"'{param}' should name a file whose purpose is 'batch'.", param=param)
    return file


async def _keep_input(door: Door, batch: Batch) -> None:
    """Has the bytes of a file that expires earlier stay for as long as the batch may read them."""
    until_ms = batch.expires_ms + DAY_MS
    if batch.input.expires_ms is not None and batch.input.expires_ms < until_ms:
        await door.expiring.expire(batch.input.key, until_ms)


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
