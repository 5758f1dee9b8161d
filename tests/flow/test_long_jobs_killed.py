"""Videos while parts of the platform are killed: each comes to one end, one charge and at most one file."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest
import pytest_asyncio

from storage.ledger import Charge
from storage.local.kafka_program import KafkaProgram
from tests.stack import Stack, running_stack, until
from tests.video_upstream import MP4, VideoUpstream

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(180)]

SLOW = pytest.mark.slow
"""Every run of the tests has one kill of each kind; the others, and the longest, are in `make test-slow`."""

PARTS = ("ingress", "dispatcher", "jobs", "streams")
ENDED = {"completed", "failed", "cancelled"}
END_S = 90.0
"""A lease must run out and the sweep must come by, on a machine that is busy with other things."""


class Filming(NamedTuple):
    stack: Stack
    upstream: VideoUpstream


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Filming]:
    async with VideoUpstream() as upstream:
        video = {"sizes": ["64x48"], "default_seconds": 1, "fps": [8], "default_fps": 8}
        filmed: dict[str, Any] = {
            "engine": "openai_compatible",
            "modality": "video",
            "base_url": upstream.url,
            "context_tokens": 0,
            "max_output_tokens": 0,
            "video": video,
            "price": {"usd_per_video": 0.5},
        }
        rows: list[dict[str, Any]] = [
            {**filmed, "id": "found", "engine_options": {"idempotency": True}},
            {**filmed, "id": "lost"},
            {**filmed, "id": "hasty", "deadline_s": 4},
            {**filmed, "id": "brief", "video": {**video, "keep_s": 1}},
            {**filmed, "id": "drawn", "engine": "storyboard", "base_url": None},
        ]
        folder: Path = tmp_path_factory.mktemp("filming")
        async with running_stack(folder, kafka_program, *PARTS, rows=rows) as stack:
            yield Filming(stack, upstream)


@pytest_asyncio.fixture(loop_scope="session")
async def filming(running: Filming) -> Filming:
    await running.stack.mend(*PARTS)
    running.upstream.reset()
    running.upstream.dedupes = True
    return running


class Owner:
    """An account of a test's own, and its videos."""

    def __init__(self, stack: Stack, account: str, http: httpx2.AsyncClient) -> None:
        self._stack = stack
        self.account = account
        self._http = http

    async def post(self, model: str) -> httpx2.Response:
        return await self._http.post("/v1/videos", json={"model": model, "prompt": "a heron"})

    async def accepted(self, model: str) -> str | None:
        response = await self.post(model)
        return str(response.json()["id"]) if response.status_code == 202 else None

    async def ask(self, model: str) -> str:
        video_id = await self.accepted(model)
        assert video_id is not None
        return video_id

    async def listed(self) -> list[dict[str, Any]]:
        return list((await self._http.get("/v1/videos")).json()["data"])

    async def ended(self, video_id: str) -> dict[str, Any]:
        async def look() -> dict[str, Any]:
            response = await self._http.get(f"/v1/videos/{video_id}")
            return dict(response.json()) if response.status_code == 200 else {"status": response.status_code}

        return dict(await until(look, lambda video: video["status"] in ENDED, END_S))

    async def status(self, video_id: str) -> str:
        return str((await self._http.get(f"/v1/videos/{video_id}")).json()["status"])

    async def content(self, video_id: str) -> bytes:
        response = await self._http.get(f"/v1/videos/{video_id}/content")
        assert response.status_code == 200, response.text
        return response.content

    async def size(self, video_id: str) -> int:
        """How much comes when the file is read, which is not kept."""
        async with self._http.stream("GET", f"/v1/videos/{video_id}/content") as response:
            assert response.status_code == 200
            return sum([len(piece) async for piece in response.aiter_bytes()])

    async def delete(self, video_id: str) -> None:
        assert (await self._http.delete(f"/v1/videos/{video_id}")).status_code == 200

    async def sizes(self) -> list[int]:
        return [each.stat().st_size for each in self.files()]

    async def charges(self, count: int) -> list[Charge]:
        return await self._stack.charges(self.account, count)

    def files(self) -> list[Path]:
        return [each for each in (self._stack.objects / "media" / self.account).rglob("*") if each.is_file()]


@pytest_asyncio.fixture(loop_scope="session")
async def owner(filming: Filming, account: str) -> AsyncIterator[Owner]:
    key = await filming.stack.create_key(account)
    async with filming.stack.client(key.secret) as http:
        yield Owner(filming.stack, account, http)


async def is_whole(owner: Owner, video_id: str) -> None:
    """One end, one charge, one file."""
    video = await owner.ended(video_id)
    assert (video["status"], video["error"]) == ("completed", None)
    assert await owner.content(video_id) == MP4
    (charge,) = await owner.charges(1)
    assert (charge.event.end, charge.cost_microusd) == ("completed", 500_000)
    (file,) = owner.files()
    assert file.read_bytes() == MP4


async def killed_at(step: str, part: str, filming: Filming, owner: Owner, model: str = "found") -> str:
    """A video for which a part was killed while the upstream held a call, and started once it had answered."""
    filming.upstream.held = {step}
    video_id = await owner.ask(model)
    await filming.upstream.arrived(step)
    await filming.stack.kill(part)
    filming.upstream.let_go()
    await filming.stack.start(part)
    return video_id


@pytest.mark.parametrize("step", ["create", pytest.param("poll", marks=SLOW), pytest.param("content", marks=SLOW)])
async def test_a_step_that_is_killed_is_done_again_and_the_video_made_once(
    filming: Filming, owner: Owner, step: str
) -> None:
    video_id = await killed_at(step, "jobs", filming, owner)
    await is_whole(owner, video_id)
    assert len(filming.upstream.made) == 1


async def test_a_create_killed_at_an_engine_that_cannot_tell_is_not_repeated(filming: Filming, owner: Owner) -> None:
    video_id = await killed_at("create", "jobs", filming, owner, "lost")
    video = await owner.ended(video_id)
    assert video["status"] == "failed"
    assert "nothing is charged" in video["error"]["message"]
    (charge,) = await owner.charges(1)
    assert (charge.event.end, charge.cost_microusd) == ("failed", 0)
    assert len(filming.upstream.forms) == 1
    assert owner.files() == []


@pytest.mark.parametrize("step", [pytest.param("create", marks=SLOW), "poll", pytest.param("content", marks=SLOW)])
async def test_a_dispatcher_that_is_killed_costs_time_alone(filming: Filming, owner: Owner, step: str) -> None:
    video_id = await killed_at(step, "dispatcher", filming, owner)
    await is_whole(owner, video_id)


async def test_a_video_accepted_while_nobody_dispatches_is_made_later(filming: Filming, owner: Owner) -> None:
    await filming.stack.kill("dispatcher")
    await filming.stack.kill("jobs")
    video_id = await owner.ask("found")
    await asyncio.gather(filming.stack.start("dispatcher"), filming.stack.start("jobs"))
    await is_whole(owner, video_id)


@pytest.mark.parametrize("step", [pytest.param("create", marks=SLOW), pytest.param("poll", marks=SLOW), "content"])
async def test_redis_may_be_killed_at_any_step(filming: Filming, owner: Owner, step: str) -> None:
    video_id = await killed_at(step, "valkey", filming, owner)
    await is_whole(owner, video_id)
    assert len(filming.upstream.made) == 1


async def test_a_create_answered_while_redis_is_away_is_not_lost(filming: Filming, owner: Owner) -> None:
    filming.upstream.held = {"create"}
    video_id = await owner.ask("lost")
    await filming.upstream.arrived("create")
    await filming.stack.kill("valkey")
    filming.upstream.let_go()
    await until(lambda: filming.stack.log_count("jobs", "settlement_waits"), bool)
    await filming.stack.start("valkey")
    await is_whole(owner, video_id)
    assert len(filming.upstream.forms) == 1


@SLOW
async def test_the_log_may_be_killed_before_a_video_is_charged(filming: Filming, owner: Owner) -> None:
    filming.upstream.held = {"content"}
    video_id = await owner.ask("found")
    await filming.upstream.arrived("content")
    await filming.stack.kill("kafka")
    filming.upstream.let_go()
    assert (await owner.ended(video_id))["status"] == "completed"
    await filming.stack.start("kafka")
    await is_whole(owner, video_id)


@SLOW
async def test_a_video_that_the_log_did_not_take_is_nowhere_seen(filming: Filming, owner: Owner) -> None:
    await filming.stack.kill("kafka")
    refused = await owner.post("found")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "undecidable")
    await filming.stack.start("kafka")
    assert await owner.listed() == []
    await filming.stack.until_free(owner.account, within_s=15)
    video_id = await until(lambda: owner.accepted("found"), bool)
    await is_whole(owner, video_id)
    assert [each["id"] for each in await owner.listed()] == [video_id]
    assert len(filming.upstream.made) == 1


async def test_a_silent_engine_is_given_up_at_the_deadline(filming: Filming, owner: Owner) -> None:
    filming.upstream.polls = [{"status": "in_progress", "progress": 7}]
    video_id = await owner.ask("hasty")
    video = await owner.ended(video_id)
    assert (video["status"], video["error"]["code"]) == ("failed", "deadline_exceeded")
    (charge,) = await owner.charges(1)
    assert (charge.event.end, charge.cost_microusd) == ("expired", 0)

    async def cancelled() -> list[str]:
        return filming.upstream.cancelled

    await until(cancelled, bool)


@SLOW
async def test_of_many_videos_each_is_made_once_whoever_dies_meanwhile(filming: Filming, owner: Owner) -> None:
    ids = await asyncio.gather(*(owner.ask("drawn") for _ in range(8)))
    for name in ("jobs", "dispatcher", "jobs"):
        await filming.stack.kill(name)
        await filming.stack.start(name)
    videos = await asyncio.gather(*(owner.ended(each) for each in ids))
    assert [each["status"] for each in videos] == ["completed"] * 8
    charges = await owner.charges(8)
    assert len(charges) == 8
    assert {each.cost_microusd for each in charges} == {500_000}
    assert len([file for file in owner.files() if file.suffix == ".mp4"]) == 8


async def test_an_expired_video_leaves_no_file_behind(filming: Filming, owner: Owner) -> None:
    video_id = await owner.ask("brief")
    await until(lambda: owner.status(video_id), lambda status: status == "expired")
    await until(owner.sizes, lambda sizes: sizes == [])
    (charge,) = await owner.charges(1)
    assert (charge.event.end, charge.cost_microusd) == ("completed", 500_000)


async def test_500_mb_pass_through_every_part_in_constant_memory(filming: Filming, owner: Owner) -> None:
    await is_whole(owner, await owner.ask("found"))
    before = {name: filming.stack.peak_bytes(name) for name in ("ingress", "dispatcher", "jobs")}
    filming.upstream.large_bytes = size_bytes = 500 * 1024 * 1024
    video_id = await owner.ask("found")
    assert (await owner.ended(video_id))["status"] == "completed"
    assert await owner.size(video_id) == size_bytes
    grown = {name: filming.stack.peak_bytes(name) - bytes_before for name, bytes_before in before.items()}
    assert max(grown.values()) < 40 * 1024 * 1024, grown
    await owner.delete(video_id)
    await until(owner.sizes, lambda sizes: sizes == [len(MP4)])
