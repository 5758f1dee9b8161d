"""Reading a request's body, up to a size and for a while."""

import asyncio

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from schemas.errors import BodyTooLarge, Cancelled


async def read_body(request: Request, most_bytes: int, patience_s: float) -> bytes:
    """Raises BodyTooLarge as soon as it is known, Cancelled when the client leaves in the middle, or 408."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(patience_s):
            async for part in request.stream():
                size_bytes += len(part)
                if size_bytes > most_bytes:
                    raise _too_large(most_bytes)
                parts.append(part)
    except ClientDisconnect as gone:
        raise Cancelled("The client left before its request was read.") from gone
    except TimeoutError as late:
        detail = f"The body was not there after {patience_s:g} s"
        raise HTTPException(408, detail, headers={"connection": "close"}) from late
    return b"".join(parts)


def _too_large(most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than the {most_bytes} bytes that are accepted.")
