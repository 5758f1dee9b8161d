"""`/v1/batches` and `/v1/batches/files`, between their bodies and what they make: a record, and no job."""

import secrets
import time
from collections.abc import Mapping
from typing import Final

import msgspec

from ingress import metrics
from ingress.batches.endpoints import checked_endpoint
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.keeping import DAY_MS, name_of, own_file
from ingress.operations.operation import Done
from ingress.translate.batches import moment, parse, parse_file, shown
from schemas.batches import Batch, File, Standing, Upload
from schemas.errors import InvalidValue, RateLimited, UnsupportedParameter
from schemas.wire.batches import DigitalOceanBatchRequest, OpenAIBatchRequest
from storage.batches import new_batch_id
from storage.files import new_file_id

ENDPOINT: Final = "/v1/batches"
FILES: Final = ENDPOINT + "/files"
MESSAGES: Final = "/v1/messages"
"""What a batch asks whose lines are Anthropic's."""

WINDOW_MS: Final = DAY_MS
UPLOAD_MS: Final = 3_600_000
ENCODE: Final = msgspec.json.Encoder().encode


async def announce(door: Door, asked: Incoming) -> Done:
    """A URL that a file may be put at. Done again under the same number, another URL for the same file."""
    name = name_of(parse_file(asked.body).file_name)
    now_ms, token = _now_ms(), secrets.token_urlsafe(32)
    keep_ms = door.settings.files_days * DAY_MS
    file_id = new_file_id(now_ms) if asked.number is None else f"file-{asked.number}"
    upload = Upload(file_id, asked.key.account, name, now_ms, now_ms + UPLOAD_MS, keep_ms)
    await door.files.announce(upload, token)
    url = f"{door.public_url}{FILES}/{token}"
    return Done(201, ENCODE({"file_id": upload.id, "upload_url": url, "expires_at": moment(upload.until_ms)}))


async def create(door: Door, asked: Incoming) -> Done:
    """A batch, once its record is made: from then on nothing that dies can lose it."""
    wanted = parse(asked.body)
    if asked.number is not None:
        standing = await door.batches.get(asked.key.account, f"batch_{asked.number}")
        if standing is not None:
            # Whoever made it died before its caller was told; its file may be gone since.
            return _done(standing)
    match wanted:
        case OpenAIBatchRequest():
            batch = await _openai(door, asked, wanted)
        case DigitalOceanBatchRequest():
            batch = await _digitalocean(door, asked, wanted)
    await _keep_input(door, batch)
    made = await door.batches.create(batch, door.settings.account_batches)
    if made is None:
        most = door.settings.account_batches
        raise RateLimited(f"{most} batches of this account are under way. Wait for one to end.", retry_after_s=60)
    if made == batch.id:
        metrics.BATCHES.labels("validating").inc()
    standing = await door.batches.get(batch.account, made)
    assert standing is not None, made
    return _done(standing)


def _done(standing: Standing) -> Done:
    return Done(201 if standing.batch.family == "digitalocean" else 200, ENCODE(shown(standing)))


async def _openai(door: Door, asked: Incoming, wanted: OpenAIBatchRequest) -> Batch:
    kept = wanted.output_expires_after
    source = await _input(door, asked, wanted.input_file_id, "input_file_id")
    batch = _batch(door, asked, source, checked_endpoint(wanted.endpoint), wanted.metadata)
    return batch if kept is None else msgspec.structs.replace(batch, output_keep_ms=kept.seconds * 1000)


async def _digitalocean(door: Door, asked: Incoming, wanted: DigitalOceanBatchRequest) -> Batch:
    if wanted.provider == "anthropic":
        if wanted.endpoint is not None:
            raise UnsupportedParameter("'endpoint' has no place beside the provider 'anthropic'.", param="endpoint")
        endpoint = MESSAGES
    elif wanted.endpoint is None:
        raise InvalidValue("'endpoint' is required with the provider 'openai'.", param="endpoint")
    else:
        endpoint = checked_endpoint(wanted.endpoint)
    source = await _input(door, asked, wanted.file_id, "file_id")
    return msgspec.structs.replace(
        _batch(door, asked, source, endpoint, wanted.metadata),
        family="digitalocean",
        lines=wanted.provider,
        request_id=wanted.request_id,
    )


def _batch(door: Door, asked: Incoming, source: File, endpoint: str, metadata: Mapping[str, str] | None) -> Batch:
    """What both families say alike, in OpenAI's shape."""
    now_ms = _now_ms()
    return Batch(
        id=new_batch_id(now_ms) if asked.number is None else f"batch_{asked.number}",
        account=asked.key.account,
        key=asked.key,
        address=None if asked.address is None else str(asked.address),
        family="openai",
        lines="openai",
        endpoint=endpoint,
        input=source,
        created_ms=now_ms,
        expires_ms=now_ms + WINDOW_MS,
        output_keep_ms=door.settings.files_days * DAY_MS,
        metadata=metadata,
    )


async def _input(door: Door, asked: Incoming, file_id: str, param: str) -> File:
    file = await own_file(door, asked.key.account, file_id, param)
    if file.purpose != "batch":
        raise InvalidValue(f"'{param}' should name a file whose purpose is 'batch'.", param=param)
    return file


async def _keep_input(door: Door, batch: Batch) -> None:
    """Has the bytes of a file that expires earlier stay for as long as the batch may read them."""
    until_ms = batch.expires_ms + DAY_MS
    if batch.input.expires_ms is not None and batch.input.expires_ms < until_ms:
        await door.expiring.expire(batch.input.key, until_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
