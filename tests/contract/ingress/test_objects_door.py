"""Files by signed URLs, as a client without a key gets them from a folder."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from prometheus_client import REGISTRY
from starlette.types import Message, Receive, Send

from storage.object_folder import PIECE_BYTES, ObjectFolder
from storage.signed_urls import UrlSigner
from tests.objects_door import URL, app, objects_door

KEY = "media/acme/job_1/video.mp4"
BODY = bytes(range(256)) * 4000


@pytest.fixture
def objects(tmp_path: Path) -> ObjectFolder:
    return ObjectFolder(tmp_path / "objects", UrlSigner(URL, b"a secret"))


@pytest.fixture
async def http(objects: ObjectFolder) -> AsyncIterator[httpx2.AsyncClient]:
    await objects.put(KEY, BODY)
    async with objects_door(objects) as opened:
        yield opened


@pytest.fixture
async def url(objects: ObjectFolder) -> str:
    return await objects.signed_url(KEY, now_ms() + 60_000)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def test_a_file_is_whole_private_and_nothing_but_a_file(http: httpx2.AsyncClient, url: str) -> None:
    answer = await http.get(url)
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-length"] == str(len(BODY))
    assert answer.headers["content-type"] == "video/mp4"
    assert answer.headers["cache-control"] == "private"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_head_is_the_same_without_the_file(http: httpx2.AsyncClient, url: str) -> None:
    whole, head = await http.get(url), await http.head(url)
    assert (head.status_code, head.content) == (200, b"")
    own = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in own} == {
        k: v for k, v in whole.headers.items() if k not in own
    }


@pytest.mark.parametrize("span", ["bytes=5-9", f"bytes={len(BODY)}-"])
async def test_a_head_has_no_ranges(http: httpx2.AsyncClient, url: str, span: str) -> None:
    """RFC 9110, 14.2: "A server MUST ignore a Range header field received with a request method … for which range
    handling is not defined. For this specification, GET is the only method for which range handling is defined."
    """
    head = await http.head(url, headers={"range": span})
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(BODY)))
    assert "content-range" not in head.headers


async def test_a_range_is_a_part(http: httpx2.AsyncClient, url: str) -> None:
    answer = await http.get(url, headers={"range": "bytes=1000-300000"})
    assert (answer.status_code, answer.content) == (206, BODY[1000:300_001])
    assert answer.headers["content-range"] == f"bytes 1000-300000/{len(BODY)}"
    assert answer.headers["content-length"] == "299001"


async def test_a_range_of_another_version_is_the_whole_of_this_one(http: httpx2.AsyncClient, url: str) -> None:
    etag = (await http.head(url)).headers["etag"]
    same = await http.get(url, headers={"range": "bytes=5-", "if-range": etag})
    other = await http.get(url, headers={"range": "bytes=5-", "if-range": '"another"'})
    assert [same.status_code, other.status_code] == [206, 200]
    assert other.content == BODY


async def test_a_range_past_the_end_is_refused_with_the_size(http: httpx2.AsyncClient, url: str) -> None:
    answer = await http.get(url, headers={"range": f"bytes={len(BODY)}-"})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(BODY)}"
    assert answer.json()["error"]["code"] == "range_not_satisfiable"


async def test_a_url_that_was_changed_opens_nothing(http: httpx2.AsyncClient, url: str) -> None:
    bare = url.partition("?")[0]
    for changed in (bare, bare + "?expires=99", url[:-1] + "x", url.replace("/acme/", "/other/"), url + "&name=x"):
        answer = await http.get(changed)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "permission_denied"), changed


async def test_a_url_ends_with_its_time(http: httpx2.AsyncClient, objects: ObjectFolder) -> None:
    answer = await http.get(await objects.signed_url(KEY, now_ms() - 1))
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "expired")


async def test_a_file_that_was_deleted_is_not_there(http: httpx2.AsyncClient, objects: ObjectFolder, url: str) -> None:
    await objects.delete(KEY)
    for answer in (await http.get(url), await http.get(url, headers={"range": "bytes=5-"})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    assert (await http.head(url)).status_code == 404


@pytest.mark.parametrize(
    "path", ["", "media", "media/acme/", "media/acme/job_1", ".secret", "../penstock.db", "%2e%2e/x"]
)
async def test_nothing_is_listed_and_nothing_beside_is_read(
    http: httpx2.AsyncClient, objects: ObjectFolder, path: str
) -> None:
    for answer in (await http.get(f"/objects/{path}"), await http.get(f"/objects/{path}?expires=9&signature=0")):
        assert answer.status_code in (403, 404)
        assert "video.mp4" not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_files_are_only_read(http: httpx2.AsyncClient, url: str, method: str) -> None:
    assert (await http.request(method, url)).status_code == 405


async def test_a_storage_out_of_reach_is_said_and_not_taken_for_an_absent_file(
    tmp_path: Path, http: httpx2.AsyncClient, url: str
) -> None:
    top = tmp_path / "objects" / "media"
    top.rename(tmp_path / "away")
    top.write_text("in the way")
    answer = await http.get(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "undecidable")
    assert int(answer.headers["retry-after"]) >= 1


async def call(http: httpx2.AsyncClient, url: str, receive: Receive, send: Send) -> None:
    """The app called as a server does, with a client's ways of one's own."""
    split = urlsplit(url)
    scope = {"type": "http", "method": "GET", "path": split.path, "query_string": split.query.encode(), "headers": []}
    await app(http)(scope, receive, send)


async def test_a_client_that_reads_nothing_is_cut(objects: ObjectFolder, url: str) -> None:
    await objects.put(KEY, BODY)
    started: list[str] = []

    async def silent() -> Message:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def stuck(message: Message) -> None:
        started.append(message["type"])
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    before = counted("penstock_ingress_stalls_total")
    async with objects_door(objects, stall_s=1) as http, asyncio.timeout(10):
        await call(http, url, silent, stuck)
    assert started == ["http.response.start", "http.response.body"]
    assert counted("penstock_ingress_stalls_total") == before + 1


async def test_for_a_client_that_has_gone_nothing_more_is_read(objects: ObjectFolder, url: str) -> None:
    await objects.put(KEY, BODY)
    sent: list[Message] = []

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    before = counted("penstock_ingress_disconnects_total")
    async with objects_door(objects) as http:
        await call(http, url, gone, send)
    assert len(sent) < 2 + len(BODY) // PIECE_BYTES
    assert counted("penstock_ingress_disconnects_total") == before + 1


class Cut(ObjectFolder):
    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        yield BODY[:PIECE_BYTES]
        raise ConnectionResetError(key)


async def test_a_file_that_cannot_be_read_to_its_end_does_not_seem_whole(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    objects = Cut(tmp_path / "objects", UrlSigner(URL, b"a secret"))
    await objects.put(KEY, BODY)
    sent: list[Message] = []

    async def silent() -> Message:
        return await asyncio.Event().wait()  # type: ignore[return-value]

    async def send(message: Message) -> None:
        sent.append(message)

    async with objects_door(objects) as http:
        await call(http, url, silent, send)
    assert (b"content-length", str(len(BODY)).encode()) in sent[0]["headers"]
    assert [message.get("more_body") for message in sent[1:]] == [True]
    assert "object_cut" in caplog.messages


def counted(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


class Elsewhere(ObjectFolder):
    """Deleted, or out of reach, between the look at the head and the first piece."""

    failure: type[OSError] = FileNotFoundError

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncGenerator[bytes, None]:
        raise self.failure(key)
        yield b""


@pytest.mark.parametrize(("failure", "status"), [(FileNotFoundError, 404), (ConnectionError, 503)])
async def test_what_goes_wrong_before_the_first_piece_is_an_answer(
    tmp_path: Path, url: str, failure: type[OSError], status: int
) -> None:
    objects = Elsewhere(tmp_path / "objects", UrlSigner(URL, b"a secret"))
    objects.failure = failure
    await objects.put(KEY, BODY)
    async with objects_door(objects) as http:
        assert (await http.get(url)).status_code == status
