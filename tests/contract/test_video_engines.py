"""What every engine of videos owes whoever asks it, held by the real ones."""

import asyncio
import io
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image as Picture

from schemas.catalog import Model
from schemas.chat import Image
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest, PenstockError
from schemas.media import Film
from schemas.usage import Usage
from storage.async_record import Made
from tests.video_upstream import MP4, VideoUpstream
from workers.engines.openai_videos import VIDEO, OpenAIVideos
from workers.engines.storyboard_video import StoryboardVideo
from workers.job_engine import Failed, JobAsked, JobEngine, OnlyWhole, Queued, Running, UncertainStart

FILM = Film("A heron stands on the weir.", "832x480", 2.5, 16, seed=3)
FFPROBE = shutil.which("ffprobe")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def asked(film: Film = FILM) -> JobAsked:
    return JobAsked("job_1", "acme", film, 4_000_000_000_000)


def row(engine: str, **fields: Any) -> Model:
    return Model.model_validate(
        {
            "id": "film",
            "modality": "video",
            "engine": engine,
            "video": {"sizes": ["832x480"]},
            "price": {"usd_per_video_second": 0.1},
            "timeouts": {"silence_s": 1, "first_chunk_s": 1},
            **fields,
        }
    )


@pytest.fixture
async def upstream() -> AsyncIterator[VideoUpstream]:
    async with VideoUpstream() as running:
        yield running


@pytest.fixture
async def remote(upstream: VideoUpstream) -> AsyncIterator[OpenAIVideos]:
    engine = OpenAIVideos(row("openai_compatible", base_url=upstream.url, upstream_model="wan"), "top-secret")
    yield engine
    await engine.close()


@pytest.fixture
def drawn() -> StoryboardVideo:
    return StoryboardVideo(row("storyboard"), None)


async def whole(engine: JobEngine, handle: str, made: Made, which: int = 0, film: Film = FILM) -> bytes:
    return b"".join([piece async for piece in engine.open(asked(film), handle, made.files[which])])


async def test_a_storyboard_is_the_film_that_was_asked_for(drawn: StoryboardVideo) -> None:
    handle = await drawn.start(asked())
    made = await drawn.poll(asked(), handle)
    assert made.usage == Usage(units=2500)
    body = await whole(drawn, handle, made)
    assert body.index(b"moov") < body.index(b"mdat")
    with av.open(io.BytesIO(body)) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (video.width, video.height, video.average_rate) == (832, 480, 16)
        assert video.duration is not None
        assert float(video.duration * (video.time_base or 0)) == 2.5
        frames = [frame.to_image() for frame in container.decode(video)]
    assert len(frames) == 40
    assert frames[0].tobytes() != frames[20].tobytes()


@pytest.mark.skipif(FFPROBE is None, reason="ffprobe is not installed")
async def test_ffprobe_finds_in_a_storyboard_what_was_asked_for(drawn: StoryboardVideo, tmp_path: Path) -> None:
    made = await drawn.poll(asked(), "job_1")
    film = tmp_path / "film.mp4"
    film.write_bytes(await whole(drawn, "job_1", made))
    shown = "stream=codec_name,width,height,r_frame_rate,nb_read_frames:format=duration"
    words = ("-v", "error", "-count_frames", "-select_streams", "v", "-show_entries", shown, "-of", "json", str(film))
    process = await asyncio.create_subprocess_exec(str(FFPROBE), *words, stdout=asyncio.subprocess.PIPE)
    told = json.loads((await process.communicate())[0])
    (stream,) = told["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 832, 480)
    assert (stream["r_frame_rate"], stream["nb_read_frames"]) == ("16/1", "40")
    assert float(told["format"]["duration"]) == 2.5


async def test_a_storyboard_shows_its_prompt_and_is_the_same_each_time(drawn: StoryboardVideo) -> None:
    made = await drawn.poll(asked(), "job_1")
    once, again = await whole(drawn, "job_1", made, 1), await whole(drawn, "job_1", made, 1)
    assert once == again
    other = Film("Another prompt.", FILM.size, FILM.seconds, FILM.fps, seed=3)
    assert once != await whole(drawn, "job_1", made, 1, other)
    with Picture.open(io.BytesIO(once)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (512, 295))


@pytest.mark.parametrize("prompt", ["", "word " * 4000, "unbroken" * 900, "鷺が堰に立つ", "a\nb\nc"])
async def test_any_prompt_becomes_a_film(drawn: StoryboardVideo, prompt: str) -> None:
    film = Film(prompt, "64x48", 1, 8)
    made = await drawn.poll(asked(film), "job_1")
    with av.open(io.BytesIO(await whole(drawn, "job_1", made, 0, film))) as container:
        assert sum(1 for _ in container.decode(video=0)) == 8


async def test_a_film_that_nobody_wants_any_more_is_not_made_to_its_end(drawn: StoryboardVideo) -> None:
    long = Film("x", "1280x720", 3600, 30)
    made = await drawn.poll(asked(long), "job_1")
    reading = asyncio.create_task(whole(drawn, "job_1", made, 0, long))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(10):
            await reading


async def test_an_upstream_is_asked_as_openais_client_asks_it(upstream: VideoUpstream, remote: OpenAIVideos) -> None:
    film = Film("A heron", "832x480", 4, 16, negative_prompt="rain", seed=3, image=Image("image/png", PIXEL))
    assert await remote.start(asked(film)) == "video_1"
    form = dict(upstream.forms[0])
    picture = form.pop("input_reference")
    assert (picture.filename, picture.content_type) == ("first.png", "image/png")
    assert form == {
        "model": "wan",
        "prompt": "A heron",
        "size": "832x480",
        "seconds": "4",
        "negative_prompt": "rain",
        "seed": "3",
        "key": "job_1",
    }
    with pytest.raises(InvalidRequest):
        await remote.start(asked(Film("x", "832x480", 4, 16, image=Image(url="https://example.org/a.png"))))


async def test_an_upstreams_states_are_told_in_our_words(upstream: VideoUpstream, remote: OpenAIVideos) -> None:
    upstream.polls = [
        {"status": "queued"},
        {"status": "in_progress", "progress": 41.7},
        {"status": "failed", "error": {"code": "x", "message": "no film about top-secret"}},
        {"status": "cancelled"},
        {"status": "completed", "seconds": "3.5"},
    ]
    assert await remote.poll(asked(), "video_1") == Queued()
    assert await remote.poll(asked(), "video_1") == Running(41)
    failed, cancelled = await remote.poll(asked(), "video_1"), await remote.poll(asked(), "video_1")
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, EngineFailed)
    assert failed.error.message == "no film about [secret]"
    assert isinstance(cancelled, Failed)
    made = await remote.poll(asked(), "video_1")
    assert isinstance(made, Made)
    assert made.usage == Usage(units=3500)
    assert await whole(remote, "video_1", made) == MP4
    await remote.cancel(asked(), "video_1")
    assert upstream.cancelled == ["video_1"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidRequest), (401, EngineRejected), (429, EngineUnavailable), (503, EngineUnavailable)],
)
async def test_a_create_that_was_refused_is_certain(
    upstream: VideoUpstream, remote: OpenAIVideos, status: int, kind: type[PenstockError]
) -> None:
    upstream.refusals["create"] = [status]
    with pytest.raises(kind):
        await remote.start(asked())
    assert upstream.forms == []


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_create_that_failed_upstream_is_uncertain(
    upstream: VideoUpstream, remote: OpenAIVideos, status: int
) -> None:
    upstream.refusals["create"] = [status]
    with pytest.raises(UncertainStart):
        await remote.start(asked())


async def test_a_create_that_was_never_answered_is_uncertain(upstream: VideoUpstream, remote: OpenAIVideos) -> None:
    upstream.held = {"create"}
    with pytest.raises(UncertainStart):
        await remote.start(asked())
    assert await remote.find(asked()) is None
    assert len(upstream.forms) == 1


async def test_an_upstream_that_takes_idempotency_keys_finds_its_job(upstream: VideoUpstream) -> None:
    upstream.held, upstream.dedupes = {"create"}, True
    model = row("openai_compatible", base_url=upstream.url, engine_options={"idempotency": True})
    engine = OpenAIVideos(model, None)
    try:
        with pytest.raises(UncertainStart):
            await engine.start(asked())
        upstream.let_go()
        assert await engine.find(asked()) == "video_1"
        assert list(upstream.made) == ["job_1"]
    finally:
        await engine.close()


async def test_a_create_that_reached_nobody_is_certain(upstream: VideoUpstream) -> None:
    engine = OpenAIVideos(row("openai_compatible", base_url="http://127.0.0.1:1/v1"), None)
    try:
        with pytest.raises(EngineUnavailable):
            await engine.start(asked())
    finally:
        await engine.close()


async def test_a_file_that_breaks_off_or_falls_silent_is_no_file(upstream: VideoUpstream, remote: OpenAIVideos) -> None:
    upstream.held = {"content"}
    with pytest.raises(EngineUnavailable):
        await whole(remote, "video_1", Made(Usage(), _video(await remote.poll(asked(), "video_1"))))
    upstream.let_go()
    upstream.refusals = {"poll": [404, 500], "content": [404]}
    with pytest.raises(EngineFailed):
        await remote.poll(asked(), "video_1")
    with pytest.raises(EngineUnavailable):
        await remote.poll(asked(), "video_1")
    with pytest.raises(EngineRejected):
        await whole(remote, "video_1", Made(Usage(), _video(await remote.poll(asked(), "video_1"))))


async def test_a_file_larger_than_its_row_allows_is_not_read_to_its_end(upstream: VideoUpstream) -> None:
    model = row("openai_compatible", base_url=upstream.url, engine_options={"max_bytes": 100_000})
    engine = OpenAIVideos(model, None)
    try:
        with pytest.raises(EngineFailed, match="larger than 100000 bytes"):
            await whole(engine, "video_1", Made(Usage(), _video(await engine.poll(asked(), "video_1"))))
    finally:
        await engine.close()


async def test_the_rest_of_a_file_is_read_from_where_another_reading_stopped(
    upstream: VideoUpstream, remote: OpenAIVideos
) -> None:
    size = len(upstream.content)
    for start in (1, size // 2, size - 1, size):
        pieces = [piece async for piece in remote.open_from(asked(), "video_1", VIDEO, start)]
        assert b"".join(pieces) == upstream.content[start:]
    upstream.ranges = False
    with pytest.raises(OnlyWhole):
        await anext(remote.open_from(asked(), "video_1", VIDEO, 1))
    upstream.refusals = {"content": [503]}
    with pytest.raises(EngineUnavailable):
        await anext(remote.open_from(asked(), "video_1", VIDEO, 1))


def _video(state: object) -> Any:
    assert isinstance(state, Made)
    return state.files
