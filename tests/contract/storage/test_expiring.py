import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas.errors import Undecidable
from storage import expiring
from storage.expiring import DUE, ExpiringObjects
from storage.line import Line
from storage.local.valkey import ValkeyServer
from storage.object_folder import ObjectFolder
from tests.contract.storage.between import Between

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / secrets.token_hex(4)


@pytest.fixture
def objects(line: Line, folder: Path) -> ExpiringObjects:
    return ExpiringObjects(line, ObjectFolder(folder))


async def noted(line: Line) -> int:
    return int(await line.call("ZCARD", DUE))


async def test_an_object_is_there_until_its_time_and_gone_after_it(
    line: Line, objects: ExpiringObjects, folder: Path
) -> None:
    await objects.put("jobs/acme/early", b"1", now_ms() - 1)
    await objects.put("jobs/acme/late", b"2", now_ms() + HOUR_MS)
    assert await objects.sweep() == 1
    assert not (folder / "jobs/acme/early").exists()
    assert (folder / "jobs/acme/late").read_bytes() == b"2"
    assert await noted(line) == 1
    assert await objects.sweep() == 0


async def test_the_time_that_was_told_last_counts(objects: ExpiringObjects, folder: Path) -> None:
    await objects.put("video", b"1", now_ms() - 1)
    await objects.expire("video", now_ms() + HOUR_MS)
    assert await objects.sweep() == 0
    await objects.expire("video", now_ms() - 1)
    assert await objects.sweep() == 1
    assert not (folder / "video").exists()


async def test_what_is_kept_for_two_is_there_as_long_as_the_longer_needs_it(
    line: Line, objects: ExpiringObjects, folder: Path
) -> None:
    await objects.put_to_keep("picture", b"1", now_ms() - 2)
    await objects.keep("picture", now_ms() + HOUR_MS)
    await objects.put_to_keep("picture", b"2", now_ms() - 1)
    assert await objects.sweep() == 0
    assert (folder / "picture").read_bytes() == b"2"
    assert await noted(line) == 1


async def test_what_was_deleted_earlier_costs_no_more_than_a_look(
    line: Line, objects: ExpiringObjects, folder: Path
) -> None:
    await objects.put("jobs/acme/done", b"1", now_ms() - 1)
    (folder / "jobs/acme/done").unlink()
    assert await objects.sweep() == 1
    assert await noted(line) == 0


async def test_what_cannot_be_deleted_is_tried_again(
    line: Line, objects: ExpiringObjects, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "TAKEN_MS", 0)
    (folder / "stuck" / "below").mkdir(parents=True)
    await objects.expire("stuck", 1)
    with pytest.raises(OSError, match="stuck"):
        await objects.sweep()
    (folder / "stuck" / "below").rmdir()
    (folder / "stuck").rmdir()
    assert await objects.sweep() == 1
    assert await noted(line) == 0


async def test_what_cannot_be_deleted_is_in_nobody_s_way(line: Line, objects: ExpiringObjects, folder: Path) -> None:
    (folder / "stuck" / "below").mkdir(parents=True)
    await objects.expire("stuck", 1)
    for number in range(5):
        await objects.put(f"jobs/acme/{number}", b"1", now_ms() - 1)
    with pytest.raises(OSError, match="stuck"):
        await objects.sweep()
    assert not (folder / "jobs").exists()
    assert await noted(line) == 1


async def test_what_comes_piece_by_piece_is_noted_before_it_is_there(
    line: Line, objects: ExpiringObjects, folder: Path
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        assert await noted(line) == 1
        yield b"12"
        yield b"345"

    assert await objects.put_stream("media/acme/job_1/v.mp4", pieces(), now_ms() - 1) == 5
    assert (folder / "media/acme/job_1/v.mp4").read_bytes() == b"12345"
    assert await objects.sweep() == 1
    assert not (folder / "media").exists()


async def test_nothing_is_put_that_could_not_be_noted(valkey: ValkeyServer, folder: Path) -> None:
    async with Between(valkey.url) as between:
        far = Line(between.url)
        await far.open()
        await between.refuse()
        with pytest.raises(Undecidable):
            await ExpiringObjects(far, ObjectFolder(folder)).put("jobs/acme/large", b"1", now_ms() + HOUR_MS)
        await far.close()
    assert await ObjectFolder(folder).groups("") == []
