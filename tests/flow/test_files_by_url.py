"""A file of a folder, by its signed URL, through a real ingress: in pieces, and whoever leaves."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio

from storage.object_storage import open_objects
from storage.objects import Objects
from storage.settings import StorageSettings
from tests.stack import Stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MB = 1_000_000
KEY = "media/flow/job_1/video.mp4"
FAR_MS = 4_000_000_000_000


def piece(number: int) -> bytes:
    return hashlib.shake_128(number.to_bytes(4)).digest(MB)


@pytest_asyncio.fixture(loop_scope="session")
async def objects(stack: Stack) -> AsyncIterator[Objects]:
    """The stack's own storage, as a worker sees it."""
    async with open_objects(StorageSettings(objects=str(stack.objects), public_url=stack.url)) as opened:
        yield opened
        await opened.delete(KEY)


async def put(objects: Objects, megabytes: int) -> str:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(megabytes):
            yield piece(number)

    await objects.put_stream(KEY, pieces(), content_type="video/mp4")
    return await objects.signed_url(KEY, FAR_MS, file_name="video.mp4")


async def test_a_file_comes_whole_and_in_ranges(objects: Objects) -> None:
    url = await put(objects, 20)
    async with httpx2.AsyncClient(trust_env=False) as http:
        whole, head = await http.get(url), await http.head(url)
        assert whole.status_code == 200
        assert whole.content == b"".join(piece(number) for number in range(20))
        assert (head.status_code, head.headers["content-length"]) == (200, str(20 * MB))
        parts = [await http.get(url, headers={"range": f"bytes={n * MB}-{(n + 1) * MB - 1}"}) for n in (0, 7, 19)]
        assert [part.status_code for part in parts] == [206] * 3
        assert [part.content for part in parts] == [piece(n) for n in (0, 7, 19)]
        assert (await http.get(url.replace("video.mp4?", "other.mp4?"))).status_code == 403


async def test_a_reader_who_leaves_is_not_read_for(stack: Stack, objects: Objects) -> None:
    url = await put(objects, 60)
    before = await stack.metric("penstock_ingress_disconnects_total")
    async with httpx2.AsyncClient(trust_env=False) as http, http.stream("GET", url) as answer:
        assert await anext(answer.aiter_bytes())
    await until(lambda: stack.metric("penstock_ingress_disconnects_total"), lambda seen: seen == before + 1)
    await stack.until_idle()


async def test_a_slow_reader_costs_no_memory(stack: Stack, objects: Objects) -> None:
    """The ingress holds what one reader has not taken yet within a few pieces, not the file."""
    url = urlsplit(await put(objects, 120))
    assert url.hostname is not None
    before = await stack.metric("process_resident_memory_bytes")
    readers = [await asyncio.open_connection(url.hostname, url.port) for _ in range(5)]
    for reader, writer in readers:
        writer.write(f"GET {url.path}?{url.query} HTTP/1.1\r\nhost: {url.netloc}\r\n\r\n".encode())
        assert b"200 OK" in await reader.readline()
    during = await stack.metric("process_resident_memory_bytes")
    for _, writer in readers:
        writer.close()
    await stack.until_idle()
    assert during - before < 60 * MB
