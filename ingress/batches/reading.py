"""A batch's input: its lines one by one, and whether each says what it should."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, NamedTuple

import msgspec

from schemas.batches import MOST_LINES, Batch, LineFault
from storage.objects import Objects

MOST_FAULTS: Final = 100
"""Faults that a caller is told of; who has more has one reason for most of them."""

LONGEST_ID: Final = 512
SHOWN: Final = 100
DIGEST_BYTES: Final = 12

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Line(NamedTuple):
    """A line that is not blank; `number` counts those from 0, `end_bytes` is where the next one begins.

    `place` counts blank lines too, from 1 where the reading began.
    """

    number: int
    text: bytes
    end_bytes: int
    place: int


class Asked(NamedTuple):
    custom_id: str
    body: bytes


class OpenAILine(msgspec.Struct, frozen=True):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


class AnthropicLine(msgspec.Struct, frozen=True):
    custom_id: str
    params: msgspec.Raw


class LineTooLong(Exception):
    def __init__(self, place: int) -> None:
        super().__init__(place)
        self.place = place


OPENAI: Final = msgspec.json.Decoder(OpenAILine)
ANTHROPIC: Final = msgspec.json.Decoder(AnthropicLine)


async def lines_of(
    objects: Objects, key: str, longest_bytes: int, *, start_bytes: int = 0, number: int = 0
) -> AsyncGenerator[Line, None]:
    """Raises LineTooLong, FileNotFoundError, or OSError when the storage is out of reach."""
    waiting, at_bytes, place = bytearray(), start_bytes, 0
    async with aclosing(objects.read(key, start_bytes)) as pieces:
        async for piece in pieces:
            waiting += piece
            *whole, rest = waiting.split(b"\n")
            for text in whole:
                at_bytes += len(text) + 1
                place += 1
                if len(text) > longest_bytes:
                    raise LineTooLong(place)
                if text.strip():
                    yield Line(number, bytes(text), at_bytes, place)
                    number += 1
            waiting = rest
            if len(waiting) > longest_bytes:
                raise LineTooLong(place + 1)
    if waiting.strip():
        yield Line(number, bytes(waiting), at_bytes + len(waiting), place + 1)


def read_line(batch: Batch, line: Line) -> Asked | LineFault:
    """What a line asks, or why it cannot be told."""
    at = line.place
    try:
        custom_id, body = _openai(batch, line) if batch.lines == "openai" else _anthropic(line)
    except msgspec.ValidationError as fault:
        return LineFault("invalid_request", f"The line is no request: {fault}.", at)
    except UNREADABLE as fault:
        return LineFault("invalid_json_line", f"The line is not valid JSON: {str(fault)[:SHOWN]}.", at)
    except _Wrong as wrong:
        return LineFault(wrong.code, str(wrong), at, wrong.param)
    if not 0 < len(custom_id) <= LONGEST_ID:
        return LineFault("invalid_custom_id", f"'custom_id' should have 1 to {LONGEST_ID} characters.", at, "custom_id")
    return Asked(custom_id, body)


class Checked(NamedTuple):
    """How many lines an input has, and what is wrong with it."""

    total: int
    faults: list[LineFault]


async def check_input(objects: Objects, batch: Batch, longest_bytes: int) -> Checked:
    """Reads all of the input, and keeps none of it. Raises FileNotFoundError or OSError."""
    total, faults, seen = 0, list[LineFault](), set[bytes]()
    try:
        async with aclosing(lines_of(objects, batch.input.key, longest_bytes)) as lines:
            async for line in lines:
                total += 1
                if total > MOST_LINES:
                    faults.append(LineFault("too_many_requests", f"A batch has {MOST_LINES} lines at most."))
                elif (fault := _check(batch, line, seen)) is not None:
                    faults.append(fault)
                if total > MOST_LINES or len(faults) >= MOST_FAULTS:
                    break
    except LineTooLong as long:
        faults.append(LineFault("line_too_long", f"A line has {longest_bytes} bytes at most.", long.place))
    if not total and not faults:
        faults.append(LineFault("empty_file", "The input file has no requests.", param="input_file_id"))
    return Checked(total, faults)


class _Wrong(Exception):
    def __init__(self, code: str, param: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


def _check(batch: Batch, line: Line, seen: set[bytes]) -> LineFault | None:
    asked = read_line(batch, line)
    if isinstance(asked, LineFault):
        return asked
    digest = hashlib.blake2b(asked.custom_id.encode("utf-8", "surrogatepass"), digest_size=DIGEST_BYTES).digest()
    if digest in seen:
        shown = asked.custom_id[:SHOWN]
        message = f"The custom_id '{shown}' stands in another line before."
        return LineFault("duplicate_custom_id", message, line.place, "custom_id")
    seen.add(digest)
    return None


def _openai(batch: Batch, line: Line) -> tuple[str, bytes]:
    asked = OPENAI.decode(line.text)
    if asked.method != "POST":
        raise _Wrong("invalid_method", "method", f"'method' should be 'POST', not '{asked.method[:SHOWN]}'.")
    if asked.url != batch.endpoint:
        expected = f"'url' should be the batch's endpoint, '{batch.endpoint}'"
        raise _Wrong("mismatched_url", "url", f"{expected}, not '{asked.url[:SHOWN]}'.")
    return asked.custom_id, _object(asked.body, "body")


def _anthropic(line: Line) -> tuple[str, bytes]:
    asked = ANTHROPIC.decode(line.text)
    return asked.custom_id, _object(asked.params, "params")


def _object(raw: msgspec.Raw, param: str) -> bytes:
    body = bytes(raw)
    if not body.startswith(b"{"):
        raise _Wrong("invalid_body", param, f"'{param}' should be an object.")
    return body
