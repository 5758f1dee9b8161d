"""What stands for pictures in an answer: read from a folder, or URLs of it, noted in a real Valkey."""

import time
from pathlib import Path

import msgspec
import pytest

from ingress.answer import fetched
from ingress.pictures import SPARE_MS, Pictures
from schemas.chunks import Chunk, Ended, UsageReport
from schemas.errors import InternalError, Undecidable
from schemas.media_chunks import Picture
from schemas.usage import Usage
from schemas.wire.openai_images import Shown
from storage.expiring import DUE, ExpiringObjects
from storage.line import Line
from storage.local.valkey import ValkeyServer
from storage.object_folder import ObjectFolder
from storage.signed_urls import UrlSigner
from tests.contract.storage.between import Between

URL_S = 100.0
KEY = "media/acme/job_1/0.png"
PICTURE = Picture(0, KEY, 5, "image/png")
ENDED = Ended("completed", Usage(units=1))


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def objects(tmp_path: Path) -> ObjectFolder:
    return ObjectFolder(tmp_path, UrlSigner("http://penstock.example", b"a secret"))


def pictures(line: Line, objects: ObjectFolder, shown: Shown) -> Pictures:
    return Pictures(objects, ExpiringObjects(line, objects), shown, URL_S)


async def test_bytes_come_as_base64_that_is_ready_to_be_written(line: Line, objects: ObjectFolder) -> None:
    await objects.put(KEY, b"\xff\xfe\x00whole")
    found = pictures(line, objects, "b64_json")
    chunks: list[Chunk] = [UsageReport(Usage()), PICTURE, ENDED]
    assert await fetched(found.fetch, chunks) == chunks
    assert msgspec.json.decode(found.shown[KEY]) == "//4Ad2hvbGU="
    assert await line.call("ZCARD", DUE) == 0


async def test_a_url_is_outlived_by_its_picture(line: Line, objects: ObjectFolder) -> None:
    found = pictures(line, objects, "url")
    before_ms = time.time_ns() // 1_000_000
    await found.fetch([PICTURE])
    url = msgspec.json.decode(found.shown[KEY], type=str)
    assert url.startswith(f"http://penstock.example/objects/{KEY}?expires=")
    until_ms = int(url.partition("expires=")[2].partition("&")[0])
    assert 0 <= until_ms - before_ms - 100_000 < 5_000
    assert int(await line.call("ZSCORE", DUE, KEY)) == until_ms + SPARE_MS


async def test_a_picture_that_is_gone_makes_an_end_that_says_so(line: Line, objects: ObjectFolder) -> None:
    (end,) = await fetched(pictures(line, objects, "b64_json").fetch, [PICTURE, ENDED])
    assert isinstance(end, Ended)
    assert (end.end, end.error and end.error.code) == ("failed", InternalError.code)


async def test_storage_that_cannot_be_read_makes_one_that_may_be_tried_again(
    line: Line, objects: ObjectFolder, tmp_path: Path
) -> None:
    (tmp_path / KEY).parent.mkdir(parents=True)
    (tmp_path / KEY).symlink_to(tmp_path / KEY)
    (end,) = await fetched(pictures(line, objects, "b64_json").fetch, [PICTURE, ENDED])
    assert isinstance(end, Ended)
    assert end.error is not None
    assert (end.error.code, end.error.retryable) == (Undecidable.code, True)


async def test_no_url_is_given_whose_picture_could_not_be_kept(valkey: ValkeyServer, objects: ObjectFolder) -> None:
    async with Between(valkey.url) as between:
        far = Line(between.url)
        await far.open()
        await between.refuse()
        found = pictures(far, objects, "url")
        with pytest.raises(Undecidable):
            await found.fetch([PICTURE])
        await far.close()
    assert found.shown == {}
