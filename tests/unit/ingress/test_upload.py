"""Files on their way in: bounded, in pieces, and told from what is no form."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from ingress.upload import pieces_of, read_form, received
from schemas.errors import BodyTooLarge, Cancelled, InvalidRequest

FORM = {"content-type": "multipart/form-data; boundary=X"}


def request(pieces: Sequence[bytes], headers: Mapping[str, str] | None = None, *, ends: bool = True) -> Request:
    """One whose body comes piece by piece, and whose client leaves, or falls silent, where it does not end."""
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": each, "more_body": True} for each in pieces]
    messages.append({"type": "http.request", "body": b""} if ends else {"type": "http.disconnect"})
    coming = iter(messages)

    async def receive() -> Any:
        return next(coming)

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


def part(name: str, value: bytes, file: str = "") -> bytes:
    named = f'; filename="{file}"' if file else ""
    return f'--X\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode() + value + b"\r\n"


async def test_a_body_comes_as_it_is_sent() -> None:
    assert [piece async for piece in received(request([b"ab", b"", b"c"]), 3, 1)] == [b"ab", b"c"]


async def test_what_is_too_large_is_refused_as_soon_as_it_is_known() -> None:
    asked = request([b"abcd"], {"content-length": "4"})
    with pytest.raises(BodyTooLarge):
        await anext(received(asked, 3, 1))
    coming = received(request([b"ab", b"cd", b"ef"]), 3, 1)
    assert await anext(coming) == b"ab"
    with pytest.raises(BodyTooLarge):
        await anext(coming)


async def test_a_client_that_leaves_is_no_end_of_a_file() -> None:
    with pytest.raises(Cancelled):
        async for _ in received(request([b"ab"], ends=False), 3, 1):
            pass


async def test_a_client_that_falls_silent_is_not_waited_for() -> None:
    async def never() -> Any:
        raise TimeoutError

    with pytest.raises(HTTPException) as late:
        await anext(received(Request({"type": "http", "method": "PUT", "headers": []}, never), 3, 0.01))
    assert late.value.status_code == 408


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
async def test_a_form_is_read_however_it_is_cut(piece_bytes: int) -> None:
    body = part("purpose", b"batch") + part("file", b"x" * 3000, "a.jsonl") + b"--X--\r\n"
    pieces = [body[at : at + piece_bytes] for at in range(0, len(body), piece_bytes)]
    form = await read_form(request(pieces, FORM), 3000, 1)
    file = form.file("file")
    assert file is not None
    assert (form.text("purpose"), file.filename) == ("batch", "a.jsonl")
    assert b"".join([piece async for piece in pieces_of(file)]) == b"x" * 3000
    await form.close()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"{}", {"content-type": "application/json"}),
        (b"--X\r\n", {"content-type": "multipart/form-data"}),
        (b"no form at all", FORM),
        (part("file", b"1", "a") + part("file", b"2", "b") + b"--X--\r\n", FORM),
    ],
)
async def test_what_is_no_form_is_said_to_be_none(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest):
        await read_form(request([body], headers), 3000, 1)
