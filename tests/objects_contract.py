"""What every object storage has to do, as a class that the tests of each one take over."""

import asyncio
import contextlib
import hashlib
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import httpx2
import msgspec
import pytest

from storage.objects import PART_BYTES, InParts, Objects

Fetch = Callable[[str], Awaitable[httpx2.Response]]

MIB = 1024 * 1024
LARGE_BYTES = 20 * MIB + 12_345
"""Three parts of an upload, the last one not whole."""


AT_THE_END = [(599_999, None), (600_000, None), (700_000, None), (599_990, 700_000)]
NO_NAMES = ["a/\0", "a/\n", "a\\..\\b", "a" * 1025]


def large(seed: bytes = b"a") -> bytes:
    """Bytes of which no two pieces are alike."""
    return b"".join(hashlib.sha256(seed + number.to_bytes(4)).digest() for number in range(LARGE_BYTES // 32 + 1))[
        :LARGE_BYTES
    ]


async def pieces_of(body: bytes, piece_bytes: int) -> AsyncIterator[bytes]:
    for start in range(0, len(body), piece_bytes):
        yield body[start : start + piece_bytes]


async def read(objects: Objects, key: str, start: int = 0, end: int | None = None) -> bytes:
    async with aclosing(objects.read(key, start, end)) as pieces:
        return b"".join([piece async for piece in pieces])


class ObjectsContract:
    """Takes the fixtures `objects`, empty at first, and `fetch`, by which a stranger opens a URL."""

    absent_status = 404
    lost_upload: type[OSError] = FileNotFoundError

    async def test_what_was_put_last_is_got_until_it_is_deleted(self, objects: Objects) -> None:
        await objects.put("jobs/acme/1", b"one")
        await objects.put("jobs/acme/1", b"two")
        assert await objects.get("jobs/acme/1") == b"two"
        await objects.delete("jobs/acme/1")
        await objects.delete("jobs/acme/1")
        with pytest.raises(FileNotFoundError):
            await objects.get("jobs/acme/1")

    async def test_a_head_tells_the_size_and_the_type(self, objects: Objects) -> None:
        await objects.put("media/a/j/0.png", b"12345")
        await objects.put("media/a/j/bare", b"")
        assert (await objects.head("media/a/j/0.png"))[:2] == (5, "image/png")
        assert (await objects.head("media/a/j/bare"))[:2] == (0, "application/octet-stream")
        with pytest.raises(FileNotFoundError):
            await objects.head("media/a/j/1.png")

    async def test_a_type_that_was_given_is_kept_until_the_object_is_put_anew(self, objects: Objects) -> None:
        await objects.put("media/a/j/out.bin", b"1", content_type="model/gltf+json")
        assert (await objects.head("media/a/j/out.bin")).content_type == "model/gltf+json"
        await objects.put_stream("media/a/j/out.bin", pieces_of(b"23", 1), content_type="video/mp4")
        assert (await objects.head("media/a/j/out.bin"))[:2] == (2, "video/mp4")
        await objects.put("media/a/j/out.bin", b"1")
        assert (await objects.head("media/a/j/out.bin")).content_type == "application/octet-stream"

    async def test_an_etag_changes_with_the_body(self, objects: Objects) -> None:
        await objects.put("media/a/j/0.png", b"12345")
        first = await objects.head("media/a/j/0.png")
        assert await objects.head("media/a/j/0.png") == first
        await objects.put("media/a/j/0.png", b"54321")
        assert (await objects.head("media/a/j/0.png")).etag != first.etag
        assert first.etag[0] == first.etag[-1] == '"'

    @pytest.mark.parametrize("piece_bytes", [65_536, 9 * MIB])
    async def test_a_stream_becomes_one_object(self, objects: Objects, piece_bytes: int) -> None:
        body = large()
        put = await objects.put_stream("media/a/j/v.mp4", pieces_of(body, piece_bytes), content_type="video/mp4")
        assert put == len(body)
        assert (await objects.head("media/a/j/v.mp4"))[:2] == (len(body), "video/mp4")
        assert await objects.get("media/a/j/v.mp4") == body
        assert await read(objects, "media/a/j/v.mp4") == body

    async def test_a_stream_of_nothing_is_an_empty_object(self, objects: Objects) -> None:
        assert await objects.put_stream("media/a/j/none", pieces_of(b"", 1)) == 0
        assert await objects.get("media/a/j/none") == b""
        assert await read(objects, "media/a/j/none") == b""
        assert await read(objects, "media/a/j/none", 0, 5) == b""

    @pytest.mark.parametrize("before_bytes", [1, 9 * MIB], ids=["early", "late"])
    async def test_a_stream_that_fails_leaves_what_was_there(self, objects: Objects, before_bytes: int) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x" * before_bytes
            raise ConnectionResetError("the source is gone")

        await objects.put("media/a/j/old", b"whole")
        for key in ("media/a/j/old", "media/a/j/new"):
            with pytest.raises(ConnectionResetError, match="the source is gone"):
                await objects.put_stream(key, broken())
        assert await objects.get("media/a/j/old") == b"whole"
        with pytest.raises(FileNotFoundError):
            await objects.head("media/a/j/new")
        assert await self.left_over(objects) == []

    async def test_a_stream_that_is_cancelled_leaves_nothing(self, objects: Objects) -> None:
        given = asyncio.Event()

        async def stuck() -> AsyncIterator[bytes]:
            yield b"x" * 9 * MIB
            given.set()
            await asyncio.Event().wait()

        putting = asyncio.create_task(objects.put_stream("media/a/j/new", stuck()))
        await given.wait()
        putting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await putting
        with pytest.raises(FileNotFoundError):
            await objects.head("media/a/j/new")
        assert await self.left_over(objects) == []

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, 1), (1, 4), (5, 5), (9, 3), (0, None), (300_000, None), (250_000, 550_000), *AT_THE_END],
    )
    async def test_a_range_is_read_as_a_slice(self, objects: Objects, start: int, end: int | None) -> None:
        body = large()[:600_000]
        await objects.put("media/a/j/v.mp4", body)
        assert await read(objects, "media/a/j/v.mp4", start, end) == body[start:end]

    @pytest.mark.parametrize(("start", "end"), [(0, None), (5, None), (3, 3)])
    async def test_what_is_not_there_cannot_be_read(self, objects: Objects, start: int, end: int | None) -> None:
        with pytest.raises(FileNotFoundError):
            await read(objects, "media/a/j/none", start, end)

    async def test_a_reading_is_of_one_version(self, objects: Objects) -> None:
        old, new = large(b"old"), large(b"new")
        await objects.put("media/a/j/v.mp4", old)
        async with aclosing(objects.read("media/a/j/v.mp4")) as pieces:
            found = await anext(pieces)
            await objects.put("media/a/j/v.mp4", new)
            try:
                async for piece in pieces:
                    found += piece
            except OSError:
                assert old.startswith(found), "what came before the failure"
            else:
                assert found == old

    async def test_a_reader_may_leave_in_the_middle(self, objects: Objects) -> None:
        await objects.put("media/a/j/v.mp4", large())
        for _ in range(40):
            async with aclosing(objects.read("media/a/j/v.mp4")) as pieces:
                assert 0 < len(await anext(pieces)) <= MIB

    async def test_groups_are_what_stands_below_a_prefix(self, objects: Objects) -> None:
        assert await objects.groups("responses") == []
        bodies = {f"responses/{day}/acme/{n}": b"x" for day in ("2026-01-02", "2026-01-01") for n in range(3)}
        await objects.put_all({**bodies, "responses/no-group": b"x", "jobs/acme/1": b"x"})
        assert await objects.groups("responses") == ["2026-01-01", "2026-01-02"]
        assert await objects.groups("responses/2026-01-01") == ["acme"]
        assert await objects.groups("resp") == []
        assert await objects.groups("") == ["jobs", "responses"]

    async def test_a_group_is_deleted_with_all_below_it_and_nothing_beside(self, objects: Objects) -> None:
        kept = {"responses/2026-01-011/acme/1": b"x", "responses/2026-01-02/acme/1": b"x", "responses/top": b"x"}
        gone = {f"responses/2026-01-01/acme/{n}": b"x" for n in range(5)}
        await objects.put_all({**kept, **gone})
        await asyncio.gather(*[objects.delete_group("responses/2026-01-01") for _ in range(3)])
        for key in gone:
            with pytest.raises(FileNotFoundError):
                await objects.head(key)
        for key, body in kept.items():
            assert await objects.get(key) == body

    @pytest.mark.parametrize(
        "key",
        ["/etc/passwd", "../up", "a/../../up", "a/..", "..", ".secret", "a/.b", "", "a//b", "a/", *NO_NAMES],
    )
    async def test_what_is_no_key_is_refused(self, objects: Objects, key: str) -> None:
        steps: list[Awaitable[object]] = [
            objects.put(key, b"x"),
            objects.put_all({key: b"x"}),
            objects.put_stream(key, pieces_of(b"x", 1)),
        ]
        steps += [objects.get(key), objects.head(key), read(objects, key), objects.delete(key)]
        steps += [objects.signed_url(key, 1)]
        for step in steps:
            with pytest.raises(ValueError, match=r"leaves its place|is no object's key"):
                await step

    async def test_no_group_is_outside(self, objects: Objects) -> None:
        for step in (objects.groups("../"), objects.delete_group(".."), objects.delete_group("")):
            with pytest.raises(ValueError, match="leaves its place"):
                await step

    async def test_a_signed_url_opens_its_object_to_a_stranger(self, objects: Objects, fetch: Fetch) -> None:
        await objects.put("media/acme/job_1/a b+c%2F.mp4", b"moving")
        in_a_minute_ms = time.time_ns() // 1_000_000 + 60_000
        shown = await fetch(await objects.signed_url("media/acme/job_1/a b+c%2F.mp4", in_a_minute_ms))
        assert (shown.status_code, shown.content) == (200, b"moving")
        assert shown.headers["content-type"] == "video/mp4"
        assert shown.headers["content-disposition"] == "inline"
        assert shown.headers["cache-control"] == "private"
        url = await objects.signed_url("media/acme/job_1/a b+c%2F.mp4", in_a_minute_ms, file_name='Übung "1".mp4')
        saved = await fetch(url)
        assert (saved.status_code, saved.content) == (200, b"moving")
        assert (
            saved.headers["content-disposition"]
            == "attachment; filename=\"_bung _1_.mp4\"; filename*=UTF-8''%C3%9Cbung%20%221%22.mp4"
        )
        await objects.delete("media/acme/job_1/a b+c%2F.mp4")
        assert (await fetch(url)).status_code == self.absent_status

    async def left_over(self, objects: Objects) -> list[str]:
        """What uploads that came to nothing have left."""
        raise NotImplementedError

    async def test_an_object_in_parts_is_there_when_the_last_has_come_whoever_puts_them(self, objects: Objects) -> None:
        body, key = large(), "media/a/j/in-parts.bin"
        begun = await objects.begin_parts(key, "video/mp4")
        first = await objects.add_part(key, begun, body[:PART_BYTES])
        lost = await objects.add_part(key, first, body[PART_BYTES : 2 * PART_BYTES])
        assert lost.size_bytes == 2 * PART_BYTES
        # Whoever added the second part died before that was noted: another does it again.
        second = await objects.add_part(key, first, body[PART_BYTES : 2 * PART_BYTES])
        with pytest.raises(FileNotFoundError):
            await objects.head(key)
        told = msgspec.msgpack.decode(msgspec.msgpack.encode(second), type=InParts)
        assert await objects.finish_parts(key, told, body[2 * PART_BYTES :]) == len(body)
        assert await objects.get(key) == body
        assert (await objects.head(key))[:2] == (len(body), "video/mp4")
        # Whoever finished it died before that was noted: S3 says again that it is done, or knows it no more.
        with contextlib.suppress(self.lost_upload):
            await objects.finish_parts(key, second, body[2 * PART_BYTES :])
        assert await objects.get(key) == body

    async def test_parts_that_were_given_up_leave_nothing(self, objects: Objects) -> None:
        key = "media/a/j/given-up.bin"
        begun = await objects.begin_parts(key)
        first = await objects.add_part(key, begun, b"x" * PART_BYTES)
        await objects.forget_parts(key, first)
        with pytest.raises(self.lost_upload):
            await objects.finish_parts(key, first, b"")
        with pytest.raises(FileNotFoundError):
            await objects.head(key)


class ConstantMemory:
    """For storage that is not in this process."""

    async def test_what_passes_through_is_never_held_whole(self, objects: Objects) -> None:
        sizes_bytes, piece = 96 * MIB, b"\x5a" * MIB

        async def source() -> AsyncIterator[bytes]:
            for _ in range(sizes_bytes // MIB):
                yield piece

        async def through() -> int:
            await objects.put_stream("media/a/j/v.mp4", source())
            async with aclosing(objects.read("media/a/j/v.mp4")) as pieces:
                return sum([len(each) async for each in pieces])

        tracemalloc.start()
        try:
            assert await through() == sizes_bytes
            assert tracemalloc.get_traced_memory()[1] < 32 * MIB
        finally:
            tracemalloc.stop()
