"""Long work at several addresses: begun once, and asked after where it was begun."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from schemas.catalog import Model
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest
from schemas.media import Film
from storage.async_record import RemoteFile
from tests.unit.workers.replicas.scripted import Clock
from workers import job_registry
from workers.engine import EngineBusy
from workers.engines.storyboard_video import StoryboardVideo
from workers.job_engine import GivesRanges, JobAsked, OnlyWhole, Queued, State, UncertainStart
from workers.replicas.jobs import ReplicatedJobs
from workers.replicas.replica import Replica

FILM = Film("A heron.", "832x480", 2, 16)
FILMS: dict[str, Any] = {"modality": "video", "video": {"sizes": ["832x480"]}}
FILE = RemoteFile("video.mp4", "video", "video/mp4")


def asked(number: int = 1) -> JobAsked:
    return JobAsked(f"job_{number}", "acme", FILM, 4_000_000_000_000)


class Studio:
    """An engine that remembers what it has begun."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.begun: list[str] = []
        self.calls: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.asked = 0
        self.closed = False

    async def start(self, asked: JobAsked) -> str:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        self.begun.append(asked.id)
        return f"film of {asked.id}"

    async def find(self, asked: JobAsked) -> str | None:
        if self.failure is not None:
            raise self.failure
        return f"film of {asked.id}" if asked.id in self.begun else None

    async def poll(self, asked: JobAsked, handle: str) -> State:
        self.calls.append(("poll", handle))
        return Queued()

    async def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        self.calls.append(("open", handle))
        yield self.name.encode()

    async def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        self.calls.append(("open_from", f"{handle} {start_bytes}"))
        yield self.name.encode()[start_bytes:]

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        self.calls.append(("cancel", handle))

    async def close(self) -> None:
        self.closed = True


class Row:
    def __init__(self, count: int = 3) -> None:
        self.clock = Clock()
        self.studios = [Studio(f"studio-{number}:8000") for number in range(count)]
        self.replicas: list[Replica[Any]] = [Replica("film", each.name, each, self.clock) for each in self.studios]
        self.engine = ReplicatedJobs("film", self.replicas)

    def at(self, handle: str) -> Studio:
        (studio,) = [each for each in self.studios if handle.startswith(each.name)]
        return studio

    def break_all_but(self, well: Studio, failure: Exception) -> None:
        for studio in self.studios:
            studio.failure = None if studio is well else failure


async def test_jobs_are_spread_and_stay_where_they_were_begun() -> None:
    row = Row()
    for number in range(60):
        handle = await row.engine.start(asked(number))
        studio = row.at(handle)
        assert isinstance(await row.engine.poll(asked(number), handle), Queued)
        assert [piece async for piece in row.engine.open(asked(number), handle, FILE)] == [studio.name.encode()]
        await row.engine.cancel(asked(number), handle)
        own = f"film of job_{number}"
        assert studio.calls[-3:] == [("poll", own), ("open", own), ("cancel", own)]
    assert all(len(studio.begun) > 8 for studio in row.studios)


async def test_a_file_is_read_on_where_its_job_was_begun() -> None:
    row = Row()
    handle = await row.engine.start(asked())
    studio = row.at(handle)
    assert isinstance(row.engine, GivesRanges)
    assert [piece async for piece in row.engine.open_from(asked(), handle, FILE, 3)] == [studio.name.encode()[3:]]
    assert studio.calls == [("open_from", "film of job_1 3")]


async def test_engines_that_give_files_whole_say_so() -> None:
    row = Row()
    handle = await row.engine.start(asked())
    whole = StoryboardVideo(Model.model_validate({"id": "board", "engine": "storyboard", **FILMS}), None)
    for replica in row.replicas:
        replica.served = whole
    with pytest.raises(OnlyWhole):
        async with aclosing(row.engine.open_from(asked(), handle, FILE, 0)) as pieces:
            await anext(pieces)


@pytest.mark.parametrize("failure", [EngineUnavailable("x"), EngineBusy("x"), EngineRejected("x"), EngineFailed("x")])
async def test_who_has_certainly_not_taken_a_job_is_followed_by_another(failure: EngineFailed) -> None:
    for number in range(6):
        row = Row()
        row.break_all_but(row.studios[number % 3], failure)
        assert row.at(await row.engine.start(asked(number))) is row.studios[number % 3]


async def test_when_none_takes_it_the_failure_is_told() -> None:
    row = Row()
    row.break_all_but(Studio("nobody"), EngineUnavailable("away"))
    with pytest.raises(EngineUnavailable, match="away"):
        await row.engine.start(asked())


async def test_who_may_have_taken_a_job_is_followed_by_nobody() -> None:
    row = Row()
    row.break_all_but(Studio("nobody"), UncertainStart("silence"))
    with pytest.raises(UncertainStart):
        await row.engine.start(asked())
    assert sum(studio.asked for studio in row.studios) == 1


async def test_what_is_wrong_with_a_job_is_wrong_everywhere() -> None:
    row = Row()
    row.break_all_but(Studio("nobody"), InvalidRequest("no"))
    with pytest.raises(InvalidRequest):
        await row.engine.start(asked())


async def test_a_job_is_found_wherever_it_was_begun_although_others_are_away() -> None:
    for studio_number in range(3):
        row = Row()
        studio = row.studios[studio_number]
        studio.begun.append("job_1")
        assert await row.engine.find(asked()) == f"{studio.name} film of job_1"
        row.break_all_but(studio, EngineUnavailable("away"))
        assert await row.engine.find(asked()) == f"{studio.name} film of job_1"


async def test_what_is_not_found_may_be_where_nobody_answers() -> None:
    row = Row()
    assert await row.engine.find(asked()) is None
    row.studios[1].failure = EngineUnavailable("away")
    with pytest.raises(EngineUnavailable):
        await row.engine.find(asked())


async def test_one_that_begins_nothing_is_asked_last() -> None:
    row = Row()
    broken = row.studios[0]
    broken.failure = EngineUnavailable("away")
    for number in range(30):
        row.clock.now += 0.1
        await row.engine.start(asked(number))
    broken.failure = None
    before = len(broken.begun)
    await row.engine.start(asked(99))
    assert len(broken.begun) == before == 0


async def test_one_that_is_well_again_begins_jobs_again_although_the_others_never_failed() -> None:
    """There are no probes: who is never asked would be out for ever."""
    row = Row()
    broken = row.studios[0]
    broken.failure = EngineUnavailable("away")
    number = 0
    while row.replicas[0].state == "closed":
        row.clock.now += 10
        number += 1
        await row.engine.start(asked(number))
    broken.failure = None
    row.clock.now += 10
    for later in range(1, 31):
        await row.engine.start(asked(number + later))
    assert len(broken.begun) > 3


async def test_one_that_is_still_out_of_order_is_tried_by_one_job_at_a_time_ever_more_seldom() -> None:
    row = Row()
    broken = row.studios[0]
    broken.failure = EngineUnavailable("away")
    for number in range(600):
        row.clock.now += 1
        await row.engine.start(asked(number))
    assert sum(len(studio.begun) for studio in row.studios) == 600
    # Three that open it, then 1, 2, 4, … 32 s and each minute.
    assert 12 <= broken.asked <= 24


async def test_a_job_of_an_address_that_the_row_has_no_more_is_lost_and_says_so() -> None:
    row = Row()
    with pytest.raises(EngineFailed, match="no longer served"):
        await row.engine.poll(asked(), "elsewhere:8000 film of job_1")


async def test_a_job_of_before_there_were_several_is_at_the_first() -> None:
    row = Row()
    await row.engine.poll(asked(), "video_1")
    assert row.studios[0].calls == [("poll", "video_1")]


async def test_closing_closes_each() -> None:
    row = Row()
    await row.engine.close()
    assert all(studio.closed for studio in row.studios)


@pytest.mark.parametrize("engine", ["vllm", "openai_compatible"])
def test_a_row_of_films_with_several_addresses(engine: str) -> None:
    fields: dict[str, Any] = {"id": "film", "engine": engine, **FILMS}
    fields |= {"base_url": "http://a:1/v1", "replicas": ["http://b:2/v1"]}
    assert isinstance(job_registry.build(Model.model_validate(fields), {}), ReplicatedJobs)
    one = job_registry.build(Model.model_validate({**fields, "replicas": []}), {})
    assert type(one).__name__ == "OpenAIVideos"
