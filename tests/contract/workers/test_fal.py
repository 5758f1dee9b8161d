"""The engine for fal's queue, against a queue over real HTTP."""

import gc
import json
from collections.abc import AsyncIterator
from typing import Any

import fal_client.client
import pytest
import pytest_asyncio

from schemas.catalog import Model
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest
from schemas.media import Film, Invoke
from schemas.usage import Usage
from storage.async_record import Made, RemoteFile
from tests.fal_upstream import PICTURE, SECRET, FalQueue
from workers.engines.fal import Fal
from workers.engines.setup import SetupError
from workers.job_engine import Failed, JobAsked, Queued, Running, State, UncertainStart
from workers.job_registry import build

ROW: dict[str, Any] = {
    "id": "flux",
    "modality": "invoke",
    "engine": "fal",
    "upstream_model": "fal-ai/flux/dev",
    "api_key_env": "FAL_KEY",
    "invoke": {"results": "copy"},
    "price": {"usd_per_request": 0.01},
    "timeouts": {"connect_s": 1, "first_chunk_s": 5},
}
FILES: dict[str, Any] = {"file_networks": ["127.0.0.0/8"], "file_http": True}
DEADLINE_MS = 2**60


@pytest_asyncio.fixture
async def queue() -> AsyncIterator[FalQueue]:
    async with FalQueue() as running:
        yield running


def engine(queue: FalQueue, **fields: Any) -> Fal:
    options = {**FILES, **fields.pop("engine_options", {})}
    row = {**ROW, "base_url": queue.url, "engine_options": options, **fields}
    built = build(Model.model_validate(row), {"FAL_KEY": SECRET})
    assert isinstance(built, Fal)
    return built


def asked(**arguments: Any) -> JobAsked:
    return JobAsked("job_1", "acme", Invoke(arguments), DEADLINE_MS)


async def run(built: Fal, job: JobAsked) -> tuple[str, list[State]]:
    """The handle, and what was told until the end."""
    handle = await built.start(job)
    states = [await built.poll(job, handle)]
    while isinstance(states[-1], Queued | Running):
        states.append(await built.poll(job, handle))
    return handle, states


async def test_a_job_is_submitted_asked_for_and_its_result_fetched(queue: FalQueue) -> None:
    queue.statuses = [{"status": "IN_QUEUE"}, {"status": "IN_PROGRESS"}, {"status": "COMPLETED"}]
    queue.result = {"seed": 7, "has_nsfw_concepts": [False]}
    built = engine(queue, engine_options={"arguments": {"steps": 4}, "headers": {"X-Fal-Queue-Priority": "low"}})
    _, states = await run(built, asked(prompt="a boat"))
    assert states == [Queued(), Running(0), Made(Usage(units=1), (), queue.result)]
    (taken,) = queue.requests.values()
    assert (taken.application, taken.arguments) == ("fal-ai/flux/dev", {"steps": 4, "prompt": "a boat"})
    assert taken.headers["X-Fal-Queue-Priority"] == "low"
    assert taken.query == {}
    await built.close()


async def test_files_are_copied_without_the_secret_and_stand_in_the_output_as_what_is_stored(queue: FalQueue) -> None:
    url = queue.file("a%20boat.png")
    queue.result = {
        "images": [{"url": url, "content_type": "image/png", "width": 512}, {"url": url}],
        "mask": {"url": queue.file("mask"), "content_type": "no type"},
        "inline": {"url": "data:image/png;base64,AAAA"},
        "page": url,
    }
    built = engine(queue)
    handle, (made,) = await run(built, asked())
    assert isinstance(made, Made)
    boat, mask = made.files
    assert boat == RemoteFile("0-a_boat.png", url, "image/png")
    assert mask == RemoteFile("1-mask", queue.file("mask"), "application/octet-stream")
    boat_word = "penstock-file:0-a_boat.png"
    assert made.output == {
        "images": [{"url": boat_word, "content_type": "image/png", "width": 512}, {"url": boat_word}],
        "mask": {"url": "penstock-file:1-mask", "content_type": "no type"},
        "inline": {"url": "data:image/png;base64,AAAA"},
        "page": boat_word,
    }
    assert b"".join([piece async for piece in built.open(asked(), handle, boat)]) == PICTURE
    assert queue.fetched_with == [None]
    await built.close()


async def test_files_are_linked_where_the_row_says_so(queue: FalQueue) -> None:
    queue.result = {"images": [{"url": queue.file("a.png")}]}
    built = engine(queue, invoke={"results": "link"})
    _, (made,) = await run(built, asked())
    assert made == Made(Usage(units=1), (), queue.result)
    await built.close()


async def test_a_file_at_an_address_that_is_not_public_is_not_fetched(queue: FalQueue) -> None:
    queue.result = {"image": {"url": queue.file("a.png")}}
    built = engine(queue, engine_options={"file_networks": []})
    handle, (made,) = await run(built, asked())
    assert isinstance(made, Made)
    with pytest.raises(EngineFailed, match=r"cannot be had.*not on the public Internet"):
        await anext(built.open(asked(), handle, made.files[0]))
    await built.close()


async def test_a_file_whose_server_is_busy_is_fetched_again(queue: FalQueue) -> None:
    queue.result = {"image": {"url": queue.file("a.png")}}
    queue.refusals["file"] = [503]
    built = engine(queue)
    handle, (made,) = await run(built, asked())
    assert isinstance(made, Made)
    with pytest.raises(EngineUnavailable):
        await anext(built.open(asked(), handle, made.files[0]))
    assert b"".join([piece async for piece in built.open(asked(), handle, made.files[0])]) == PICTURE
    await built.close()


async def test_a_file_larger_than_its_row_allows_and_one_that_is_gone_fail(queue: FalQueue) -> None:
    queue.result = {"image": {"url": queue.file("a.png")}}
    built = engine(queue, invoke={"results": "copy", "max_bytes": 1000})
    handle, (made,) = await run(built, asked())
    assert isinstance(made, Made)
    with pytest.raises(EngineFailed, match="larger than 1000 bytes"):
        await anext(built.open(asked(), handle, made.files[0]))
    queue.refusals["file"] = [404]
    with pytest.raises(EngineFailed, match="answered 404"):
        await anext(built.open(asked(), handle, made.files[0]))
    await built.close()


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"error": "Out of memory", "error_type": "runner_error"}, "Out of memory"),
        ({"error": f"bad key {SECRET}"}, "bad key [secret]"),
        ({"error": {"code": 1}}, "did not say why"),
        ({"error_type": "runner_disconnected"}, "runner_disconnected"),
    ],
)
async def test_a_completed_job_with_an_error_has_failed(queue: FalQueue, told: dict[str, Any], said: str) -> None:
    queue.statuses = [{"status": "COMPLETED", **told}]
    built = engine(queue)
    _, (failed,) = await run(built, asked())
    assert isinstance(failed, Failed)
    assert said in failed.error.message
    await built.close()


async def test_what_the_application_refuses_once_it_runs_is_told_by_argument(queue: FalQueue) -> None:
    queue.result = {"detail": [{"loc": ["body", "image_size"], "msg": "value is not valid", "type": "type_error"}]}
    queue.result_status = 422
    built = engine(queue)
    _, (failed,) = await run(built, asked())
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, InvalidRequest)
    assert (failed.error.message, failed.error.param) == ("input.image_size: value is not valid", "input.image_size")
    await built.close()


async def test_an_application_that_broke_is_not_asked_for_its_result_for_ever(queue: FalQueue) -> None:
    queue.result, queue.result_status = {"detail": f"CUDA out of memory, with {SECRET}"}, 500
    built = engine(queue)
    _, (failed,) = await run(built, asked())
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, EngineFailed)
    assert failed.error.message == "CUDA out of memory, with [secret]"
    queue.result, queue.result_status = {"detail": "It took too long", "error_type": "request_timeout"}, 504
    _, (failed,) = await run(built, asked())
    assert isinstance(failed, Failed)
    await built.close()


async def test_a_result_that_cannot_be_had_just_now_is_asked_for_again(queue: FalQueue) -> None:
    queue.result, queue.result_status = "Bad Gateway", 502
    built = engine(queue)
    handle = await built.start(asked())
    with pytest.raises(EngineUnavailable):
        await built.poll(asked(), handle)
    await built.close()


async def test_an_answer_that_is_no_word_but_a_file_itself_is_not_kept_in_the_record(queue: FalQueue) -> None:
    queue.result = {"image": {"url": "data:image/png;base64," + "A" * 1024 * 1024}}
    built = engine(queue)
    _, (failed,) = await run(built, asked())
    assert isinstance(failed, Failed)
    assert "larger than 1048576 bytes" in failed.error.message
    await built.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidRequest), (401, EngineRejected), (429, EngineUnavailable), (503, EngineUnavailable)],
)
async def test_a_refused_submission_has_certainly_not_been_taken(
    queue: FalQueue, status: int, error: type[Exception]
) -> None:
    queue.refusals["submit"] = [status]
    built = engine(queue)
    with pytest.raises(error):
        await built.start(asked())
    await built.close()


async def test_a_submission_without_an_answer_is_uncertain_and_the_queue_cannot_tell(queue: FalQueue) -> None:
    queue.held = {"submit"}
    built = engine(queue, timeouts={"connect_s": 1, "first_chunk_s": 0.3})
    with pytest.raises(UncertainStart):
        await built.start(asked())
    queue.refusals["submit"] = [500]
    with pytest.raises(UncertainStart):
        await built.start(asked())
    assert await built.find(asked()) is None
    assert len(queue.requests) == 1
    await built.close()


@pytest.mark.parametrize("elsewhere", ["http://elsewhere.example", "https://{host}", "http://127.0.0.1:1", "http://["])
async def test_the_queue_s_own_urls_are_asked_only_where_the_secret_may_go(queue: FalQueue, elsewhere: str) -> None:
    queue.urls_at = elsewhere.format(host=queue.url.removeprefix("http://"))
    built = engine(queue)
    handle, (made,) = await run(built, asked())
    assert isinstance(made, Made)
    assert json.loads(handle)["status_url"] == f"{queue.url}/fal-ai/flux/requests/00000000-fa1/status"
    await built.close()


async def test_a_cancel_reaches_the_queue_and_one_that_comes_too_late_is_well(queue: FalQueue) -> None:
    queue.statuses = [{"status": "IN_QUEUE"}, {"status": "COMPLETED"}]
    built = engine(queue)
    handle = await built.start(asked())
    await built.poll(asked(), handle)
    await built.cancel(asked(), handle)
    assert next(iter(queue.requests.values())).cancelled
    await built.poll(asked(), handle)
    await built.cancel(asked(), handle)
    assert queue.asked["cancel"] == 2
    await built.close()


async def test_fal_is_told_where_to_call_when_the_platform_has_an_address(queue: FalQueue) -> None:
    built = engine(queue, engine_options={"webhooks": "https://penstock.example.com/"})
    await built.start(asked())
    (taken,) = queue.requests.values()
    assert taken.query == {"fal_webhook": "https://penstock.example.com/v1/webhooks/fal/acme/job_1"}
    await built.close()


async def test_a_video_is_asked_for_in_the_application_s_names(queue: FalQueue) -> None:
    queue.result = {"video": {"url": queue.file("v.mp4"), "content_type": "video/mp4"}, "seed": 1}
    names = {"prompt": "prompt", "seconds": "duration", "size": "resolution", "seed": "seed"}
    built = engine(
        queue,
        modality="video",
        invoke=None,
        video={"sizes": ["854x480"]},
        price={"usd_per_video": 0.3},
        engine_options={"names": names},
    )
    film = JobAsked("job_1", "acme", Film("a boat", "854x480", 4, 24), DEADLINE_MS)
    _, (made,) = await run(built, film)
    (taken,) = queue.requests.values()
    assert taken.arguments == {"prompt": "a boat", "duration": 4, "resolution": "854x480"}
    assert made == Made(Usage(units=1), (RemoteFile("video.mp4", queue.file("v.mp4"), "video/mp4"),))
    queue.result = {"seed": 1}
    _, (failed,) = await run(built, film)
    assert isinstance(failed, Failed)
    await built.close()


async def test_a_queue_that_cannot_be_reached_is_asked_again_later(queue: FalQueue) -> None:
    queue.refusals["status"] = [502]
    built = engine(queue)
    handle = await built.start(asked())
    with pytest.raises(EngineUnavailable):
        await built.poll(asked(), handle)
    assert isinstance(await built.poll(asked(), handle), Made)
    await built.close()


def test_networks_that_are_none_are_told_to_the_operator() -> None:
    row = {**ROW, "base_url": "https://queue.fal.run", "engine_options": {"file_networks": ["everywhere"]}}
    with pytest.raises(SetupError, match=r"model 'flux': engine_options.file_networks"):
        build(Model.model_validate(row), {"FAL_KEY": SECRET})


def test_a_name_for_what_no_video_is_asked_for_is_told_to_the_operator() -> None:
    row = {**ROW, "base_url": "https://queue.fal.run", "engine_options": {"names": {"promt": "prompt"}}}
    with pytest.raises(SetupError, match=r"model 'flux': engine_options.names: 'promt'"):
        build(Model.model_validate(row), {"FAL_KEY": SECRET})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_the_queue_of_these_tests_is_one_that_fal_s_own_client_understands(
    queue: FalQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{queue.url}/")
    client = fal_client.AsyncClient(key=SECRET)
    queue.statuses = [{"status": "IN_QUEUE"}, {"status": "IN_PROGRESS"}, {"status": "COMPLETED"}]
    queue.result = {"seed": 7}
    job = await client.submit("fal-ai/flux/dev", arguments={"prompt": "a boat"})
    told = [await job.status(with_logs=True) for _ in range(3)]
    assert told[0] == fal_client.Queued(position=3)
    assert isinstance(told[1], fal_client.InProgress)
    assert isinstance(told[2], fal_client.Completed)
    assert await job.get() == {"seed": 7}
    queue.statuses = [{"status": "COMPLETED", "error": "Out of memory", "error_type": "runner_error"}]
    failed = await client.submit("fal-ai/flux/dev", arguments={})
    end = await failed.status()
    assert isinstance(end, fal_client.Completed)
    assert (end.error, end.error_type) == ("Out of memory", "runner_error")
    await (await client.submit("fal-ai/flux/dev", arguments={})).cancel()
    assert list(queue.requests.values())[-1].cancelled
    await (await client._client).aclose()
    gc.collect()  # fal-client leaves connections open, and here is where that is ignored
