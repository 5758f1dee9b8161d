"""Files on their way in: read as they come, into object storage, never held whole."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from schemas.errors import BodyTooLarge, Cancelled, InvalidRequest

PIECE_BYTES: Final = 256 * 1024
FORM_BYTES: Final = 1024 * 1024
"""What a form may hold beside its file."""

MOST_FIELDS: Final = 16
FORM: Final = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Form:
    """A form with one file in it; the file lies on the disk, if it is not small, until `close`."""

    data: FormData

    def text(self, name: str) -> str | None:
        value = self.data.get(name)
        return value if isinstance(value, str) else None

    def file(self, name: str) -> UploadFile | None:
        value = self.data.get(name)
        return value if isinstance(value, UploadFile) else None

    async def close(self) -> None:
        await self.data.close()


async def read_form(request: Request, most_bytes: int, stall_s: float) -> Form:
    """Raises BodyTooLarge for a file of more than `most_bytes`, InvalidRequest for what is no form, or Cancelled."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise InvalidRequest(f"The body should be {FORM}.")
    pieces = received(request, most_bytes, stall_s, spare_bytes=FORM_BYTES)
    try:
        return Form(await MultiPartParser(request.headers, pieces, max_files=1, max_fields=MOST_FIELDS).parse())
    except (MultiPartException, KeyError, UnicodeDecodeError) as fault:
        raise InvalidRequest(f"The form cannot be read: {fault}.") from None


async def pieces_of(file: UploadFile) -> AsyncIterator[bytes]:
    """What was uploaded, from its beginning."""
    await file.seek(0)
    while piece := await file.read(PIECE_BYTES):
        yield piece


async def received(
    request: Request, most_bytes: int, stall_s: float, *, spare_bytes: int = 0
) -> AsyncGenerator[bytes, None]:
    """A body as it comes. Raises BodyTooLarge as soon as it is known, Cancelled when the client leaves, or 408."""
    declared = request.headers.get("content-length", "")
    size_bytes = int(declared) if declared.isdecimal() else 0
    if size_bytes > most_bytes + spare_bytes:
        raise _too_large(most_bytes)
    size_bytes, stream = 0, request.stream()
    while True:
        try:
            async with asyncio.timeout(stall_s):
                piece = await anext(stream, None)
        except ClientDisconnect as gone:
            raise Cancelled("The client left before its file was read.") from gone
        except TimeoutError as late:
            detail = f"Nothing more of the body came for {stall_s:g} s"
            raise HTTPException(408, detail, headers={"connection": "close"}) from late
        if piece is None:
            return
        size_bytes += len(piece)
        if size_bytes > most_bytes + spare_bytes:
            raise _too_large(most_bytes)
        if piece:
            yield piece


def _too_large(most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The file is larger than the {most_bytes} bytes that are accepted.", param="file")
