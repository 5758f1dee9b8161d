"""A request for a video: read from JSON or from a form, and turned into work."""

import base64
import math
from collections.abc import AsyncGenerator
from typing import Any, Final

from pydantic import ValidationError
from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from ingress.images import Fault, image_fault
from ingress.translate.data_uri import split
from ingress.translate.validation import body_error, read
from schemas.catalog import Model
from schemas.chat import Image
from schemas.errors import InvalidRequest, InvalidValue
from schemas.images import HEAD_BYTES, image_type
from schemas.media import Film
from schemas.media_rows import VideoRow
from schemas.wire.openai_videos import ImageReference, VideoRequest

FORM: Final = "multipart/form-data"
MOST_FIELDS: Final = 32
MOST_FIELD_BYTES: Final = 1024 * 1024
REFERENCE: Final = "input_reference"
NOT_BY_URL: Final = Fault("should be the image itself: a file of the form, or a data URI (data:image/png;base64,…)")


async def parse(body: bytes, headers: Headers) -> VideoRequest:
    """The request in a body of either kind. Raises InvalidRequest and its branches, naming the parameter."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return read(VideoRequest, body)
    fields = await _fields(body, headers)
    try:
        # A form has text only, so numbers are read from it.
        return VideoRequest.model_validate(fields, strict=False)
    except ValidationError as fault:
        raise body_error(fault, VideoRequest.model_fields) from None


def to_film(request: VideoRequest, model: Model) -> Film:
    """What the model is asked for, with the row's own where the request says nothing. Raises InvalidValue."""
    row = row_of(model)
    return Film(
        prompt=request.prompt,
        size=_size(request.size, row),
        seconds=_seconds(request.seconds, row),
        fps=row.default_fps if request.fps is None else request.fps,
        negative_prompt=request.negative_prompt,
        seed=request.seed,
        image=None if request.input_reference is None else _image(request.input_reference),
    )


def row_of(model: Model) -> VideoRow:
    assert model.video is not None, f"{model.id} is not served here, which is checked first"
    return model.video


def _size(asked: str | None, row: VideoRow) -> str:
    """The size in pixels; `720p` stands for the row's first whose shorter side has so many."""
    if asked is None:
        return row.sizes[0]
    if asked.endswith("p") and asked[:-1].isdecimal():
        return next((size for size in row.sizes if asked[:-1] == min(size.split("x"), key=int)), asked)
    return asked


def _seconds(asked: str | float | None, row: VideoRow) -> float:
    if asked is None:
        return row.default_seconds
    try:
        seconds = float(asked)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise InvalidValue("'seconds' should be a number of seconds, as in \"5\".", param="seconds")
    return seconds


def _image(reference: str | ImageReference) -> Image:
    if isinstance(reference, ImageReference):
        place = f"{REFERENCE}.image_url"
        if reference.file_id is not None:
            param = f"{REFERENCE}.file_id"
            raise InvalidValue(f"'{param}' is not available: send the image itself.", param=param)
        uri = reference.image_url or ""
    else:
        place, uri = REFERENCE, reference
    data = split(uri)
    if data is None:
        raise NOT_BY_URL.at(place)
    image = Image(data.media_type, data.base64, place=place)
    if (fault := image_fault(image)) is not None:
        raise fault.at(place)
    return image


async def _fields(body: bytes, headers: Headers) -> dict[str, Any]:
    async def pieces() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, pieces(), max_files=1, max_fields=MOST_FIELDS, max_part_size=MOST_FIELD_BYTES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError) as fault:
        reason = fault.message if isinstance(fault, MultiPartException) else "it names no boundary."
        raise InvalidRequest(f"The body is not a valid form: {reason}") from fault
    try:
        return await _contents(form)
    finally:
        await form.close()


async def _contents(form: FormData) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        outer, bracket, inner = name.partition("[")
        inside = bracket and inner.endswith("]")
        known = fields.setdefault(outer, {}) if inside else fields
        own = inner[:-1] if inside else name
        if not isinstance(known, dict) or own in known:
            raise InvalidValue(f"'{name[:80]}' is given twice.", param=name[:80])
        known[own] = await _as_data_uri(value) if isinstance(value, UploadFile) else value
    return fields


async def _as_data_uri(file: UploadFile) -> str:
    """A file is what its bytes say: clients name any type, or none."""
    content = await file.read()
    media_type = image_type(content[:HEAD_BYTES]) or "application/octet-stream"
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"
