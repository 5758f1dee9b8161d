"""Reading a request's body, up to a size."""

from starlette.requests import ClientDisconnect, Request

from schemas.errors import BodyTooLarge, Cancelled


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Raises BodyTooLarge as soon as it is known, and Cancelled when the client leaves in the middle."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(most_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    try:
        async for part in request.stream():
            size_bytes += len(part)
            if size_bytes > most_bytes:
                raise _too_large(most_bytes)
            parts.append(part)
    except ClientDisconnect as gone:
        raise Cancelled("The client left before its request was read.") from gone
    return b"".join(parts)


def _too_large(most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"The request body is larger than the {most_bytes} bytes that are accepted.")
