"""Videos, by the official client and by hand: made, polled, waited for, watched, listed, fetched and deleted."""

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import httpx2
import openai
import pytest
import pytest_asyncio
from PIL import Image
from redis.asyncio import Redis

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests.asking import error_of
from tests.stack import Stack, running_stack, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning"),
]

MODEL = "tiny-video"
VIDEO: dict[str, Any] = {
    "sizes": ["160x96", "96x160", "848x480", "1280x720"],
    "seconds": {"min": 0.5, "max": 5},
    "default_seconds": 1,
    "fps": [4, 8],
    "default_fps": 4,
    "seed": True,
    "max_prompt_chars": 200,
}
BASE = {"engine": "storyboard", "modality": "video", "base_url": None, "context_tokens": 0, "max_output_tokens": 0}
ROWS: list[dict[str, Any]] = [
    {**BASE, "id": MODEL, "aliases": ["tiny.video"], "video": VIDEO, "price": {"usd_per_video": 0.31}},
    {**BASE, "id": "brief-video", "video": {**VIDEO, "keep_s": 1}, "price": {}},
    {
        "id": "silent-video",
        "modality": "video",
        "context_tokens": 0,
        "max_output_tokens": 0,
        "video": VIDEO,
        "price": {},
    },
]
ASKED = {"model": MODEL, "prompt": "A drone shot"}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def videos(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Stack]:
    parts = ("ingress", "dispatcher", "jobs", "streams")
    folder: Path = tmp_path_factory.mktemp("videos")
    async with running_stack(folder, kafka_program, *parts, rows=ROWS) as running:
        running.upstream.mute = True
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def owner(videos: Stack, account: str) -> NewKey:
    return await videos.create_key(account)


@pytest_asyncio.fixture(loop_scope="session")
async def http(videos: Stack, owner: NewKey) -> AsyncIterator[httpx2.AsyncClient]:
    async with videos.client(owner.secret) as client:
        yield client


async def made(http: httpx2.AsyncClient, path: str = "/v1/videos", **fields: Any) -> dict[str, Any]:
    """A video at its end."""
    created = await http.post(path, json={**ASKED, **fields})
    assert created.status_code == 202, created.text
    answer = await http.get(f"{path}/{created.json()['id']}", params={"wait": 30})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def stream_of(content: bytes) -> tuple[str, int, int, float]:
    """Codec, width, height and seconds of an MP4, as FFmpeg's own reader finds them."""
    with av.open(io.BytesIO(content)) as container:
        (video,) = container.streams.video
        frames = sum(1 for _ in container.decode(video))
        assert video.average_rate is not None
        return video.codec_context.name, video.width, video.height, frames / float(video.average_rate)


async def test_the_official_client_makes_and_fetches_a_video(videos: Stack, owner: NewKey) -> None:
    async with openai.AsyncOpenAI(base_url=videos.base_url, api_key=owner.secret, max_retries=0) as client:
        started = await client.videos.create(model=MODEL, prompt="A drone shot", seconds="2", size="160x96")  # type: ignore[arg-type]
        assert (started.object, started.status, started.seconds, started.size) == ("video", "queued", "2", "160x96")
        video = await client.videos.poll(started.id)
        assert (video.id, video.status, video.progress, video.model) == (started.id, "completed", 100, MODEL)
        assert video.completed_at is not None
        assert video.expires_at == pytest.approx(video.completed_at + 7200, abs=1)
        content = (await client.videos.download_content(video.id)).read()
        assert stream_of(content) == ("h264", 160, 96, 2.0)
        thumbnail = (await client.videos.download_content(video.id, variant="thumbnail")).read()
        assert Image.open(io.BytesIO(thumbnail)).size == (160, 96)
        assert [each.id async for each in client.videos.list()] == [video.id]
        deleted = await client.videos.delete(video.id)
        assert (deleted.id, deleted.object, deleted.deleted) == (video.id, "video.deleted", True)
        with pytest.raises(openai.NotFoundError):
            await client.videos.retrieve(video.id)
        assert [each async for each in client.videos.list()] == []
    (charge,) = await videos.charges(owner.key.account, 1)
    assert (charge.event.operation, charge.cost_microusd) == ("video", 310_000)


async def test_the_articles_family(http: httpx2.AsyncClient) -> None:
    created = await http.post("/v1/video/generations", json={**ASKED, "size": "160x96", "fps": 8})
    assert (created.status_code, created.json()["status"]) == (202, "processing")
    job = created.json()["id"]
    assert job.startswith("job_")
    done = (await http.get(f"/v1/video/generations/{job}", params={"wait": 30})).json()
    assert {name: done[name] for name in ("id", "object", "status", "error", "output", "x_request_id", "model")} == {
        "id": job,
        "object": "video",
        "status": "completed",
        "error": None,
        "output": None,
        "x_request_id": None,
        "model": MODEL,
    }
    content = (await http.get(f"/v1/video/generations/{job}/content")).content
    assert stream_of(content)[:3] == ("h264", 160, 96)
    async with httpx2.AsyncClient(trust_env=False) as anybody:
        path = httpx2.URL(done["url"]).raw_path.decode()
        signed = await anybody.get(f"{str(http.base_url).rstrip('/')}{path}")
    assert (signed.status_code, signed.headers["content-type"], signed.content) == (200, "video/mp4", content)
    # Some clients poll in one family and fetch in the other.
    assert (await http.get(f"/v1/videos/{job}/content")).content == content
    assert (await http.get(f"/v1/videos/{job}")).json()["id"] == "video_" + job.removeprefix("job_")


async def test_ranges_and_heads(http: httpx2.AsyncClient) -> None:
    path = f"/v1/videos/{(await made(http))['id']}/content"
    whole = await http.get(path)
    head = await http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert int(head.headers["content-length"]) == len(whole.content)
    part = await http.get(path, headers={"range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole.content)}"
    beyond = await http.get(path, headers={"range": f"bytes={len(whole.content)}-"})
    assert beyond.status_code == 416


async def test_a_form_with_all_its_fields(http: httpx2.AsyncClient) -> None:
    form = {"model": "tiny.video", "prompt": "A form", "seconds": "1.5", "size": "96x160", "fps": "8", "seed": "7"}
    created = await http.post("/v1/videos", files={name: (None, value) for name, value in form.items()})
    assert created.status_code == 202, created.text
    body = created.json()
    assert (body["model"], body["prompt"], body["seconds"], body["size"], body["fps"]) == (
        MODEL,
        "A form",
        "1.5",
        "96x160",
        8,
    )


async def test_sizes_by_their_lines(http: httpx2.AsyncClient) -> None:
    for asked, size in (("480p", "848x480"), ("720p", "1280x720")):
        created = await http.post("/v1/videos", json={**ASKED, "size": asked})
        assert created.json()["size"] == size
        assert (await http.delete(f"/v1/videos/{created.json()['id']}")).json()["deleted"] is True


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": " "}, "invalid_value", "prompt"),
        ({"prompt": "x" * 201}, "invalid_value", "prompt"),
        ({"prompt": None}, "invalid_value", "prompt"),
        ({"model": "scripted"}, "invalid_value", "model"),
        ({"model": "nowhere"}, "model_not_found", "model"),
        ({"size": "160x97"}, "invalid_value", "size"),
        ({"size": "1080p"}, "invalid_value", "size"),
        ({"seconds": "6"}, "invalid_value", "seconds"),
        ({"seconds": 0.1}, "invalid_value", "seconds"),
        ({"seconds": "soon"}, "invalid_value", "seconds"),
        ({"seconds": "nan"}, "invalid_value", "seconds"),
        ({"seconds": True}, "invalid_value", "seconds"),
        ({"fps": 5}, "invalid_value", "fps"),
        ({"fps": "8"}, "invalid_value", "fps"),
        ({"seed": -1}, "invalid_value", "seed"),
        ({"negative_prompt": "no"}, "unsupported_parameter", "negative_prompt"),
        ({"input_reference": "https://example.com/a.png"}, "invalid_value", "input_reference"),
        ({"input_reference": {"file_id": "file-1"}}, "invalid_value", "input_reference.file_id"),
        ({"input_reference": "data:image/png;base64,AAAA"}, "invalid_value", "input_reference"),
        ({"webhook_url": "http://example.com/"}, "invalid_value", "webhook_url"),
        ({"webhook_url": "https://127.0.0.1/"}, "invalid_value", "webhook_url"),
        ({"webhook_url": "https://[::1]/"}, "invalid_value", "webhook_url"),
        ({"webhook_url": "https://localhost/"}, "invalid_value", "webhook_url"),
        ({"webhook_url": "https://2130706433/"}, "invalid_value", "webhook_url"),
        ({"webhook_url": "https://me:secret@example.com/"}, "invalid_value", "webhook_url"),
        ({"quality": "high"}, "unsupported_parameter", "quality"),
    ],
)
async def test_what_the_row_does_not_allow_is_refused(
    http: httpx2.AsyncClient, fields: dict[str, Any], code: str, param: str
) -> None:
    answer = await http.post("/v1/videos", json={**ASKED, **fields})
    error = error_of(answer, 404 if code == "model_not_found" else 400)
    assert (error["code"], error["param"]) == (code, param)


async def test_forms_are_refused_like_json(http: httpx2.AsyncClient) -> None:
    for field, value in (("fps", "eight"), ("seconds", "soon"), ("colour", "red")):
        form = {**ASKED, field: value}
        answer = await http.post("/v1/videos", files={name: (None, text) for name, text in form.items()})
        assert error_of(answer, 400)["param"] == field
    image = ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(16), "image/png")
    answer = await http.post("/v1/videos", data=ASKED, files={"input_reference": image})
    assert (error_of(answer, 400)["code"], answer.json()["error"]["param"]) == (
        "unsupported_parameter",
        "input_reference",
    )
    torn = await http.post("/v1/videos", content=b"--x", headers={"content-type": "multipart/form-data"})
    assert error_of(torn, 400)["code"] == "invalid_request"


async def test_another_accounts_video_is_nowhere(videos: Stack, http: httpx2.AsyncClient, account: str) -> None:
    video = (await made(http))["id"]
    other = await videos.create_key(f"{account}-other")
    async with videos.client(other.secret) as stranger:
        for path in ("", "/content", "/events"):
            assert error_of(await stranger.get(f"/v1/videos/{video}{path}"), 404)["code"] == "not_found"
        assert (await stranger.delete(f"/v1/videos/{video}")).status_code == 404
        assert (await stranger.get("/v1/videos")).json()["data"] == []
    assert (await http.get(f"/v1/videos/{video}")).status_code == 200


async def test_lists_go_page_by_page(http: httpx2.AsyncClient) -> None:
    ids = [(await http.post("/v1/videos", json={**ASKED, "model": "silent-video"})).json()["id"] for _ in range(3)]
    first = (await http.get("/v1/videos", params={"limit": 2})).json()
    assert ([each["id"] for each in first["data"]], first["has_more"]) == (ids[:0:-1], True)
    assert (first["first_id"], first["last_id"]) == (ids[2], ids[1])
    second = (await http.get("/v1/videos", params={"limit": 2, "after": ids[1]})).json()
    assert ([each["id"] for each in second["data"]], second["has_more"]) == (ids[:1], False)
    oldest = (await http.get("/v1/video/generations", params={"order": "asc", "limit": 1})).json()
    assert [each["id"] for each in oldest["data"]] == ["job_" + ids[0].removeprefix("video_")]
    for param, value in (("limit", 0), ("limit", 101), ("order", "up")):
        error = error_of(await http.get("/v1/videos", params={param: value}), 400)
        assert (error["code"], error["param"]) == ("invalid_value", param)


async def test_a_video_that_waits(http: httpx2.AsyncClient) -> None:
    created = await http.post("/v1/videos", json={**ASKED, "model": "silent-video"})
    video = created.json()["id"]
    assert int(created.headers["openai-poll-after-ms"]) == 500
    began = time.monotonic()
    waited = await http.get(f"/v1/videos/{video}", params={"wait": 1})
    assert waited.json()["status"] in {"queued", "in_progress"}
    assert 1 <= time.monotonic() - began < 5
    early = await http.get(f"/v1/videos/{video}/content")
    assert (error_of(early, 409)["code"], early.headers["x-should-retry"]) == ("conflict", "true")
    assert error_of(await http.get(f"/v1/videos/{video}", params={"wait": 61}), 400)["param"] == "wait"
    waiting = asyncio.create_task(http.get(f"/v1/videos/{video}", params={"wait": 30}))
    await asyncio.sleep(0.1)
    assert (await http.delete(f"/v1/videos/{video}")).status_code == 200
    gone = await asyncio.wait_for(waiting, 5)
    assert gone.status_code in {200, 404}, "whoever waits hears of the cancellation at once"


async def test_events_up_to_the_end(http: httpx2.AsyncClient) -> None:
    created = (await http.post("/v1/videos", json={**ASKED, "seconds": "2"})).json()
    events: list[tuple[str, dict[str, Any]]] = []
    async with http.stream("GET", f"/v1/videos/{created['id']}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        name = ""
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                events.append((name, json.loads(line.removeprefix("data: "))))
    assert events[0][0] in {"video.queued", "video.in_progress"}
    assert (events[-1][0], events[-1][1]["status"], events[-1][1]["id"]) == (
        "video.completed",
        "completed",
        created["id"],
    )
    progress = [body["progress"] for _, body in events]
    assert progress == sorted(progress)
    assert [name for name, _ in events].count("video.completed") == 1


async def test_whoever_watches_hears_of_the_deletion(http: httpx2.AsyncClient) -> None:
    video = (await http.post("/v1/videos", json={**ASKED, "model": "silent-video"})).json()["id"]
    async with http.stream("GET", f"/v1/videos/{video}/events") as stream:
        lines = stream.aiter_lines()
        assert (await anext(lines)).startswith("event: video.")
        await http.delete(f"/v1/videos/{video}")
        names = [line.removeprefix("event: ") async for line in lines if line.startswith("event: ")]
    assert names[-1] in {"video.cancelled", "video.deleted"}


async def test_a_silent_stream_is_kept_alive(videos: Stack, owner: NewKey) -> None:
    url = await videos.start_door("ingress-pinging", PENSTOCK_PING_S="0.2")
    async with videos.client(owner.secret, url) as http:
        video = (await http.post("/v1/videos", json={**ASKED, "model": "silent-video"})).json()["id"]
        async with http.stream("GET", f"/v1/videos/{video}/events") as stream:
            async for line in stream.aiter_lines():
                if line == ": ping":
                    break
        await http.delete(f"/v1/videos/{video}")
    await videos.stop("ingress-pinging")


async def test_files_expire(http: httpx2.AsyncClient) -> None:
    video = (await made(http, model="brief-video"))["id"]

    async def status() -> str:
        return str((await http.get(f"/v1/videos/{video}")).json()["status"])

    await until(status, lambda seen: seen == "expired")
    content = await http.get(f"/v1/videos/{video}/content")
    assert error_of(content, 410)["code"] == "expired"
    assert (await http.get(f"/v1/videos/{video}")).json()["url"] is None


async def test_a_key_makes_one_video(videos: Stack, http: httpx2.AsyncClient) -> None:
    form = {name: (None, value) for name, value in ASKED.items()}
    twins = [http.post("/v1/videos", files=form, headers={"idempotency-key": "once"}) for _ in range(4)]
    answers = await asyncio.gather(*twins)
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await http.get("/v1/videos")).json()["data"]) == 1


async def test_an_ingress_that_dies_while_it_accepts_makes_one_video(videos: Stack, owner: NewKey) -> None:
    """Whatever it had done by then: its record, its envelope, or all but the answer."""
    url = await videos.start_door("ingress-2")
    name = {"idempotency-key": "once"}
    async with videos.client(owner.secret, url) as dying, videos.client(owner.secret) as http:
        asking = asyncio.create_task(dying.post("/v1/videos", json=ASKED, headers=name))
        # By the claim, which is made before all else.
        async with Redis.from_url(videos.redis_url) as redis:
            claimed = f"penstock:idempotent:{{{owner.key.account}}}:*"
            await until(lambda: redis.keys(claimed), bool)
        await videos.kill("ingress-2")
        with contextlib.suppress(httpx2.TransportError):
            await asking
        answer = await http.post("/v1/videos", json=ASKED, headers=name)
        assert answer.status_code == 202
        ended = await http.get(f"/v1/videos/{answer.json()['id']}", params={"wait": 30})
        assert ended.json()["status"] == "completed"
        assert [each["id"] for each in (await http.get("/v1/videos")).json()["data"]] == [answer.json()["id"]]
    assert len(await videos.charges(owner.key.account, 1)) == 1
    await videos.until_free(owner.key.account)
