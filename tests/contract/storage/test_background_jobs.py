import asyncio
import secrets

import pytest

from schemas.chunks import Chunk, Ended, Frame, TextDelta
from schemas.usage import Usage
from storage import replies
from storage.background import DUE, BackgroundJobs, Name
from storage.line import Line
from storage.local.valkey import ValkeyServer
from storage.redis_wire import Argument, Reply
from storage.replies import PUBLISH_LIMIT_BYTES, Outboxes, decode_frames
from tests.contract.storage.between import Between

LATER_MS = 4_000_000_000_000
ENDED = Ended("completed", Usage(3, 2))


def frame(seq: int, *chunks: Chunk) -> Frame:
    return Frame("job", 1, seq, list(chunks) or [TextDelta(str(seq))])


def gone(channel: str) -> None:
    raise AssertionError(f"{channel} was given up")


@pytest.fixture(autouse=True)
async def nothing_due(line: Line) -> None:
    await line.call("DEL", DUE)


@pytest.fixture
def jobs(line: Line) -> BackgroundJobs:
    return BackgroundJobs(line)


@pytest.fixture
def name() -> Name:
    return Name("acme@example.org", f"job_{secrets.token_hex(8)}")


async def seqs(jobs: BackgroundJobs, name: Name, place: int = 0) -> list[int] | None:
    read = await jobs.read(name, place)
    return None if read is None else [each.seq for each in read.frames]


def test_a_channel_tells_whose_job_it_is_for(name: Name) -> None:
    assert Name.of(name.channel) == name


async def test_what_a_worker_posts_can_be_read_again_from_any_place(
    line: Line, jobs: BackgroundJobs, name: Name
) -> None:
    await jobs.open(name, LATER_MS, LATER_MS)
    boxes = Outboxes(line, gone)
    boxes.post(name.channel, frame(0))
    boxes.post(name.channel, frame(1))
    await boxes.drain(5)
    first = await jobs.read(name, 0)
    assert first is not None
    assert [each.seq for each in first.frames] == [0, 1]
    assert await seqs(jobs, name, first.next) == []
    boxes.post(name.channel, frame(2, ENDED))
    await boxes.drain(5)
    assert await seqs(jobs, name, first.next) == [2]
    assert await seqs(jobs, name) == [0, 1, 2]


async def test_a_job_is_due_at_its_time_or_at_its_end(line: Line, jobs: BackgroundJobs, name: Name) -> None:
    overdue = Name("acme", "job_overdue")
    await jobs.open(name, LATER_MS, LATER_MS)
    await jobs.open(overdue, LATER_MS, 1)
    assert await jobs.take_due() == [overdue]
    boxes = Outboxes(line, gone)
    boxes.post(name.channel, frame(0))
    await boxes.drain(5)
    assert await jobs.take_due() == []
    boxes.post(name.channel, frame(1, ENDED))
    await boxes.drain(5)
    assert await jobs.take_due() == [name]
    assert await jobs.take_due() == [], "it was taken"
    await jobs.look_later(name, 1)
    assert await jobs.take_due() == [name]


async def test_an_end_that_comes_while_somebody_looks_is_looked_at_again(
    line: Line, jobs: BackgroundJobs, name: Name
) -> None:
    """Who found no end yet would else put the look off until after the job's deadline."""
    await jobs.open(name, LATER_MS, 1)
    assert await jobs.take_due() == [name]
    await jobs.append(name, [frame(0, ENDED)])
    await jobs.look_later(name, LATER_MS)
    assert await jobs.take_due() == [name]
    await jobs.look_later(name, LATER_MS)
    assert await jobs.take_due() == []


async def test_only_the_payload_that_holds_the_end_says_so_also_when_all_are_repeated(
    valkey: ValkeyServer, jobs: BackgroundJobs, name: Name
) -> None:
    await jobs.open(name, LATER_MS, LATER_MS)
    said: list[tuple[str, int]] = []

    class Overheard(Line):
        def call(self, *command: Argument) -> asyncio.Future[Reply]:
            if command[0] == "EVAL":
                payload, ends = command[-2:]
                assert isinstance(payload, bytes)
                said.append((" ".join(str(each.seq) for each in decode_frames(payload)), int(ends)))
            return super().call(*command)

    large = TextDelta("x" * PUBLISH_LIMIT_BYTES)
    chunks: list[Chunk] = [large, large, ENDED]
    async with Between(valkey.url) as between:
        far = Overheard(between.url)
        await far.open()
        boxes = Outboxes(far, gone)
        for seq, chunk in enumerate(chunks):
            boxes.post(name.channel, frame(seq, chunk))
        await boxes.drain(10)
        assert said == [("0", 0), ("1", 0), ("2", 1)]
        await between.refuse()
        said.clear()
        boxes.post(name.channel, frame(3))
        await asyncio.sleep(0)
        boxes.post(name.channel, frame(4, ENDED))
        await between.listen()
        await boxes.drain(10)
        await far.close()
    assert set(said) == {("3", 0), ("4", 1)}


async def test_a_job_is_put_away_by_one_and_stays_gone(line: Line, jobs: BackgroundJobs, name: Name) -> None:
    await jobs.open(name, LATER_MS, LATER_MS)
    assert sorted(await asyncio.gather(jobs.close(name), jobs.close(name))) == [False, True]
    boxes = Outboxes(line, gone)
    boxes.post(name.channel, frame(0, ENDED))
    await boxes.drain(5)
    await jobs.append(name, [frame(1, ENDED)])
    await jobs.look_later(name, 1)
    assert await jobs.read(name, 0) is None
    assert await jobs.take_due() == []


async def test_frames_wait_out_a_redis_that_is_away(
    valkey: ValkeyServer, jobs: BackgroundJobs, name: Name, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "PATIENCE_S", 0.0)
    await jobs.open(name, LATER_MS, LATER_MS)
    async with Between(valkey.url) as between:
        far = Line(between.url)
        await far.open()
        boxes = Outboxes(far, gone)
        await between.refuse()
        boxes.post(name.channel, frame(0))
        boxes.post(name.channel, frame(1, ENDED))
        assert await seqs(jobs, name) == []
        boxes.post(name.channel, frame(2))
        await between.listen()
        await boxes.drain(10)
        await far.close()
    assert list(dict.fromkeys(await seqs(jobs, name) or [])) == [0, 1, 2]
