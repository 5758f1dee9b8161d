"""Lines of an input, however they are cut into pieces, and what is wrong with them."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, cast

import pytest

from ingress.batches.reading import Asked, Line, LineTooLong, check_input, lines_of, read_line
from schemas.access import AccessKey, Limits
from schemas.batches import Batch, File, LineFault, LineShape
from storage.object_folder import ObjectFolder
from storage.objects import Objects

CHAT = "/v1/chat/completions"


class Cut:
    """Gives a body in pieces of one size."""

    def __init__(self, body: bytes, piece_bytes: int) -> None:
        self._body = body
        self._piece_bytes = piece_bytes

    async def read(self, _: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        for at in range(start, len(self._body), self._piece_bytes):
            yield self._body[at : at + self._piece_bytes]


def cut(body: bytes, piece_bytes: int) -> Objects:
    return cast(Objects, Cut(body, piece_bytes))


def batch(lines: LineShape = "openai") -> Batch:
    key = AccessKey("key_1", "acme", "k", None, (), 0, None, None, Limits(), {})
    file = File("file-1", "acme", "a.jsonl", "batch", "files/acme/file-1", 1, 0)
    return Batch("batch_1", "acme", key, None, "openai", lines, CHAT, file, 0, 1, 1)


def openai_line(**fields: Any) -> bytes:
    return json.dumps({"custom_id": "a", "method": "POST", "url": CHAT, "body": {"n": 1}, **fields}).encode()


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 100])
async def test_lines_are_the_same_however_they_come(piece_bytes: int) -> None:
    body = b'{"a":1}\n\n  \r\n{"b":2}\r\n{"c":3}'
    found = [line async for line in lines_of(cut(body, piece_bytes), "k", 100)]
    assert [(line.number, line.text.strip()) for line in found] == [(0, b'{"a":1}'), (1, b'{"b":2}'), (2, b'{"c":3}')]
    assert [line.place for line in found] == [1, 4, 5]
    for line in found[:-1]:
        rest = lines_of(cut(body, piece_bytes), "k", 100, start_bytes=line.end_bytes, number=line.number + 1)
        left = [each._replace(place=each.place - line.place) for each in found[line.number + 1 :]]
        assert [each async for each in rest] == left, "whoever takes up reads on from there"


@pytest.mark.parametrize("piece_bytes", [4, 1000])
@pytest.mark.parametrize("ending", [b"", b"\n"])
async def test_a_line_without_end_is_not_held(piece_bytes: int, ending: bytes) -> None:
    with pytest.raises(LineTooLong) as long:
        async for _ in lines_of(cut(b"{}\n" + b"x" * 200 + ending, piece_bytes), "k", 100):
            pass
    assert long.value.place == 2


def test_what_a_line_asks() -> None:
    assert read_line(batch(), Line(0, openai_line(), 0, 1)) == Asked("a", b'{"n": 1}')
    anthropic = b'{"custom_id": "b", "params": {"model": "m"}}'
    assert read_line(batch("anthropic"), Line(0, anthropic, 0, 1)) == Asked("b", b'{"model": "m"}')


@pytest.mark.parametrize(
    ("text", "code", "param"),
    [
        (b"{", "invalid_json_line", None),
        (b"\xff", "invalid_json_line", None),
        (b'{"body": ' + b"[" * 100_000, "invalid_json_line", None),
        (b"[]", "invalid_request", None),
        (openai_line(custom_id=7), "invalid_request", None),
        (openai_line(custom_id="x" * 513), "invalid_custom_id", "custom_id"),
        (openai_line(method="PUT"), "invalid_method", "method"),
        (openai_line(url="/v1/responses"), "mismatched_url", "url"),
        (openai_line(body="text"), "invalid_body", "body"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: bytes, code: str, param: str | None) -> None:
    fault = read_line(batch(), Line(2, text, 0, 5))
    assert isinstance(fault, LineFault)
    assert (fault.code, fault.line, fault.param) == (code, 5, param)


async def test_an_input_is_counted_and_its_faults_are_bounded(tmp_path: Path) -> None:
    objects = ObjectFolder(tmp_path)
    good = b"\n".join(openai_line(custom_id=f"id-{n}") for n in range(50_000))
    await objects.put("files/acme/file-1", good)
    assert await check_input(objects, batch(), 1000) == (50_000, [])
    await objects.put("files/acme/file-1", good + b"\n" + openai_line(custom_id="one more"))
    assert [fault.code for fault in (await check_input(objects, batch(), 1000)).faults] == ["too_many_requests"]
    await objects.put("files/acme/file-1", b"x\n" * 1000)
    checked = await check_input(objects, batch(), 1000)
    assert [fault.line for fault in checked.faults] == list(range(1, 101))
    await objects.put("files/acme/file-1", openai_line() + b"\n" + openai_line())
    (twice,) = (await check_input(objects, batch(), 1000)).faults
    assert (twice.code, twice.line) == ("duplicate_custom_id", 2)


@pytest.mark.parametrize(
    ("body", "code", "at"),
    [
        (b"\n \n" + openai_line() + b"\n\n{\n", "invalid_json_line", 5),
        (openai_line() + b"\r\n\r\n" + openai_line(), "duplicate_custom_id", 3),
        (b"\n\n" + b"x" * 2000, "line_too_long", 3),
        (b"\n\n" + b"x" * 2000 + b"\n", "line_too_long", 3),
    ],
)
async def test_a_faults_line_is_the_one_that_an_editor_shows(tmp_path: Path, body: bytes, code: str, at: int) -> None:
    objects = ObjectFolder(tmp_path)
    await objects.put("files/acme/file-1", body)
    (fault,) = (await check_input(objects, batch(), 1000)).faults
    assert (fault.code, fault.line) == (code, at)
