"""What an image engine gives, on its way into object storage: a folder, and notes in a real Valkey."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineFailed, Undecidable
from schemas.jobs import Job
from schemas.logged import BATCH_CHANNEL, LOG_CHANNEL
from schemas.media import Draw
from schemas.media_chunks import Picture
from schemas.usage import Price, Usage
from storage.expiring import DUE, ExpiringObjects
from storage.line import Line
from storage.log_replies import KEPT_MS
from storage.object_folder import ObjectFolder
from tests.upstream import CUT, Reply, Upstream
from workers.engine import Drawn, DrawnElsewhere
from workers.fetch import Fetcher
from workers.pictures import ANSWERED_MS, Deposits

DRAW = Draw("a boat", "512x512")
DEADLINE_MS = 5_000_000_000_000
PNG = b"\x89PNG\r\n\x1a\nrest"


class Engine:
    def __init__(self, *batches: Sequence[Any]) -> None:
        self._batches = batches

    async def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Any], None]:
        for batch in self._batches:
            yield batch

    async def close(self) -> None:
        pass


def job(reply_to: str = "reply:ingress") -> Job:
    return Job(
        id="job_1",
        account="acme",
        key_id="key_1",
        model="m",
        operation="images",
        lane="image.default",
        accepted_at_ms=0,
        deadline_ms=DEADLINE_MS,
        reply_to=reply_to,
        stream=False,
        price=Price(),
        work=DRAW,
    )


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    opened = Fetcher([ip_network("127.0.0.0/8")], http=True, limit_s=2)
    yield opened
    await opened.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def deposits(line: Line, fetcher: Fetcher, tmp_path: Path) -> Deposits:
    return Deposits(ExpiringObjects(line, ObjectFolder(tmp_path)), fetcher)


async def given(deposits: Deposits, *batches: Sequence[Any], reply_to: str = "reply:ingress") -> list[Delta]:
    engine = deposits.of(Engine(*batches), job(reply_to))
    return [delta async for batch in engine.generate("job_1", DRAW) for delta in batch]


async def due_ms(line: Line, key: str) -> int:
    return int(await line.call("ZSCORE", DUE, key))


async def test_pictures_rest_in_object_storage_before_anybody_hears_of_them(
    deposits: Deposits, line: Line, tmp_path: Path
) -> None:
    counted = UsageReport(Usage(units=1))
    found = await given(
        deposits,
        [Drawn(0, b"draft", "image/png", partial=0)],
        [Drawn(0, b"whole", "image/webp", None, "A boat."), counted],
    )
    assert found == [
        Picture(0, "media/acme/job_1/0-draft0.png", 5, "image/png", partial=0),
        Picture(0, "media/acme/job_1/0.webp", 5, "image/webp", None, "A boat."),
        counted,
    ]
    assert (tmp_path / "media/acme/job_1/0.webp").read_bytes() == b"whole"
    for key in ("media/acme/job_1/0-draft0.png", "media/acme/job_1/0.webp"):
        assert await due_ms(line, key) == DEADLINE_MS + ANSWERED_MS


@pytest.mark.parametrize("channel", [LOG_CHANNEL, BATCH_CHANNEL])
async def test_what_is_answered_through_the_log_is_there_as_long_as_the_log_may_take(
    deposits: Deposits, line: Line, channel: str
) -> None:
    await given(deposits, [Drawn(0, b"whole", "image/png")], reply_to=channel)
    assert await due_ms(line, "media/acme/job_1/0.png") == DEADLINE_MS + KEPT_MS


async def test_a_picture_that_is_drawn_again_does_not_go_before_a_url_that_was_given(
    deposits: Deposits, line: Line, tmp_path: Path
) -> None:
    await ExpiringObjects(line, ObjectFolder(tmp_path)).keep("media/acme/job_1/0.png", 2 * DEADLINE_MS)
    await given(deposits, [Drawn(0, b"whole", "image/png")])
    assert await due_ms(line, "media/acme/job_1/0.png") == 2 * DEADLINE_MS


async def test_a_picture_that_cannot_be_stored_is_not_told_of(deposits: Deposits, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    with pytest.raises(Undecidable, match="cannot be stored"):
        await given(deposits, [Drawn(0, b"whole", "image/png")])


async def test_what_lies_elsewhere_is_fetched(deposits: Deposits, upstream: Upstream, tmp_path: Path) -> None:
    upstream.script(Reply([PNG[:5], PNG[5:]], headers={"Content-Type": "application/octet-stream"}))
    found = await given(deposits, [DrawnElsewhere(0, f"{upstream.url}/pictures/1", "A boat.")])
    assert found == [Picture(0, "media/acme/job_1/0.png", len(PNG), "image/png", None, "A boat.")]
    assert (tmp_path / "media/acme/job_1/0.png").read_bytes() == PNG
    assert upstream.asked[0].target == "/v1/pictures/1"


@pytest.mark.parametrize(
    "reply", [Reply([b"<html>"]), Reply([b"gone"], 404), Reply([PNG, CUT]), Reply([b"x"] * 40, headers={"a": "b"})]
)
async def test_what_is_no_picture_is_the_engines_failure(
    deposits: Deposits, upstream: Upstream, tmp_path: Path, reply: Reply
) -> None:
    upstream.script(reply)
    with pytest.raises(EngineFailed):
        await given(deposits, [DrawnElsewhere(0, f"{upstream.url}/pictures/1")])
    assert not (tmp_path / "media").exists()


async def test_a_url_into_the_inside_is_not_followed(line: Line, upstream: Upstream, tmp_path: Path) -> None:
    guarded = Fetcher(http=True, limit_s=2)
    deposits = Deposits(ExpiringObjects(line, ObjectFolder(tmp_path)), guarded)
    with pytest.raises(EngineFailed):
        await given(deposits, [DrawnElsewhere(0, f"{upstream.url}/pictures/1")])
    await guarded.close()
    assert upstream.asked == []


async def test_the_sweep_takes_what_nobody_came_for(line: Line, fetcher: Fetcher, tmp_path: Path) -> None:
    """A worker that dies after it has laid a picture down leaves nothing behind."""
    objects = ExpiringObjects(line, ObjectFolder(tmp_path))
    await given(Deposits(objects, fetcher), [Drawn(0, b"whole", "image/png")])
    await objects.expire("media/acme/job_1/0.png", time.time_ns() // 1_000_000 - 1)
    assert await objects.sweep() == 1
    assert not (tmp_path / "media").exists()
