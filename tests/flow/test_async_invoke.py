"""Applications asked in their own words, through the whole platform, at a queue that speaks fal's protocol."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests.asking import error_of
from tests.fal_upstream import PICTURE, SECRET, FalQueue
from tests.pages import run_page
from tests.stack import Stack, running_stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

BASE: dict[str, Any] = {
    "modality": "invoke",
    "engine": "fal",
    "upstream_model": "fal-ai/flux/dev",
    "api_key_env": "FAL_KEY",
    "context_tokens": 0,
    "max_output_tokens": 0,
    "price": {"usd_per_request": 0.01},
}
PAGE = Path(__file__).parents[2] / "docs" / "async-invoke.md"
SIGNING = Ed25519PrivateKey.generate()
X = base64.urlsafe_b64encode(SIGNING.public_key().public_bytes_raw()).rstrip(b"=").decode()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def queue() -> AsyncIterator[FalQueue]:
    async with FalQueue() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def invoking(
    tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram, queue: FalQueue
) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("invoking")
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": X}]}))
    files = {"file_networks": ["127.0.0.0/8"], "file_http": True}
    row = {**BASE, "base_url": queue.url, "engine_options": files}
    rows = [
        {**row, "id": "fal-ai/flux/dev", "aliases": ["flux"], "invoke": {"results": "copy"}},
        {**row, "id": "linked", "invoke": {}},
        {**row, "id": "brief", "invoke": {}, "deadline_s": 1},
    ]
    parts = ("ingress", "dispatcher", "jobs", "streams")
    own = {"FAL_KEY": SECRET, "PENSTOCK_FAL_KEYS": keys.as_uri()}
    async with running_stack(folder, kafka_program, *parts, rows=rows, **own) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def owner(invoking: Stack, account: str) -> NewKey:
    return await invoking.create_key(account)


@pytest_asyncio.fixture(loop_scope="session")
async def http(invoking: Stack, owner: NewKey, queue: FalQueue) -> AsyncIterator[httpx2.AsyncClient]:
    queue.statuses, queue.result, queue.result_status = [], {"seed": 7}, 200
    queue.held.clear()
    queue.refusals.clear()
    async with invoking.client(owner.secret) as client:
        yield client


async def invoked(http: httpx2.AsyncClient, model: str = "flux", **fields: Any) -> dict[str, Any]:
    answer = await http.post("/v1/async-invoke", json={"model_id": model, "input": {"prompt": "a boat"}, **fields})
    assert answer.status_code == 202, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def ended(http: httpx2.AsyncClient, request_id: str) -> dict[str, Any]:
    answer = await http.get(f"/v1/async-invoke/{request_id}", params={"wait": 30})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_an_application_is_asked_and_its_files_are_kept_for_a_while(
    invoking: Stack, http: httpx2.AsyncClient, account: str, queue: FalQueue
) -> None:
    queue.statuses = [{"status": "IN_QUEUE"}, {"status": "IN_PROGRESS"}, {"status": "COMPLETED"}]
    queue.result = {"images": [{"url": queue.file("boat.png"), "content_type": "image/png", "width": 512}]}
    accepted = await invoked(http, tags=[{"key": "team", "value": "boats"}])
    assert {
        name: accepted[name] for name in ("status", "model_id", "started_at", "completed_at", "output", "error")
    } == {
        "status": "QUEUED",
        "model_id": "fal-ai/flux/dev",
        "started_at": None,
        "completed_at": None,
        "output": None,
        "error": None,
    }
    done = await ended(http, accepted["request_id"])
    assert (done["status"], done["error"], done["tags"]) == ("COMPLETED", None, [{"key": "team", "value": "boats"}])
    (image,) = done["output"]["images"]
    assert image["width"] == 512
    assert image["url"].startswith(invoking.base_url.removesuffix("/v1"))
    async with httpx2.AsyncClient() as anybody:
        fetched = await anybody.get(image["url"])
    assert (fetched.content, fetched.headers["content-type"]) == (PICTURE, "image/png")
    status = (await http.get(f"/v1/async-invoke/{done['request_id']}/status")).json()
    assert status["status"] == "COMPLETED"
    assert "output" not in status
    (charge,) = await invoking.charges(account, 1)
    assert (charge.event.usage.units, charge.event.price.unit, charge.cost_microusd) == (1, "request", 10_000)


async def test_a_failed_job_says_why_and_costs_nothing(
    invoking: Stack, http: httpx2.AsyncClient, account: str, queue: FalQueue
) -> None:
    queue.statuses = [{"status": "COMPLETED", "error": "Out of memory", "error_type": "runner_error"}]
    failed = await ended(http, (await invoked(http))["request_id"])
    assert (failed["status"], failed["error"], failed["output"]) == ("FAILED", "Out of memory", None)
    (charge,) = await invoking.charges(account, 1)
    assert charge.cost_microusd == 0


async def test_a_cancelled_job_is_cancelled_in_the_queue_too(http: httpx2.AsyncClient, queue: FalQueue) -> None:
    queue.statuses = [{"status": "IN_PROGRESS"}]
    before = queue.asked["status"]
    accepted = await invoked(http)
    await until(lambda: _asked(queue, "status"), lambda asked: asked > before)
    cancelled = await http.post(f"/v1/async-invoke/{accepted['request_id']}/cancel")
    assert (cancelled.json()["status"], cancelled.json()["error"]) == ("FAILED", "The job was cancelled.")
    last = list(queue.requests.values())[-1]
    await until(lambda: _value(last.cancelled), bool)


async def test_a_worker_that_dies_between_submission_and_poll_submits_nothing_twice(
    invoking: Stack, http: httpx2.AsyncClient, queue: FalQueue
) -> None:
    queue.statuses = [{"status": "IN_PROGRESS"}, {"status": "IN_PROGRESS"}, {"status": "COMPLETED"}]
    taken, polled = len(queue.requests), queue.asked["status"]
    accepted = await invoked(http, "linked")
    await until(lambda: _asked(queue, "status"), lambda asked: asked > polled)
    await invoking.kill("jobs")
    await invoking.start("jobs", FAL_KEY=SECRET)
    done = await ended(http, accepted["request_id"])
    assert (done["status"], done["output"]) == ("COMPLETED", {"seed": 7})
    assert len(queue.requests) == taken + 1


async def test_a_job_whose_queue_never_finishes_ends_at_its_deadline(http: httpx2.AsyncClient, queue: FalQueue) -> None:
    queue.statuses = [{"status": "IN_QUEUE"}]
    late = await ended(http, (await invoked(http, "brief"))["request_id"])
    assert late["status"] == "FAILED"
    assert "deadline" in late["error"]


async def test_a_signed_call_of_fal_s_has_the_queue_asked_at_once(
    invoking: Stack, http: httpx2.AsyncClient, owner: NewKey, queue: FalQueue
) -> None:
    queue.statuses = [{"status": "IN_PROGRESS"}] * 6 + [{"status": "COMPLETED"}]
    accepted = await invoked(http, "linked")
    request = await until(lambda: _last(queue), lambda last: last is not None and last.polls >= 5)
    path = f"/v1/webhooks/fal/{owner.key.account}/{accepted['request_id']}"
    body = json.dumps({"request_id": "1", "status": "OK", "payload": {"seed": 8}}).encode()
    async with invoking.client("") as fal:
        fal.headers.pop("authorization", None)
        assert (await fal.post(path, content=body)).status_code == 401
        forged = {**_signed(body), "x-fal-webhook-user-id": "someone else"}
        assert (await fal.post(path, content=body, headers=forged)).status_code == 401
        assert (await fal.post(f"{path}x", content=body, headers=_signed(body))).status_code == 404
        while request.polls < 7:
            assert (await fal.post(path, content=body, headers=_signed(body))).status_code == 204
            await asyncio.sleep(0.2)
    done = await ended(http, accepted["request_id"])
    assert (done["status"], done["output"]) == ("COMPLETED", {"seed": 7})


def _signed(body: bytes) -> dict[str, str]:
    parts = ["request-1", "user-1", str(int(time.time()))]
    message = "\n".join([*parts, hashlib.sha256(body).hexdigest()]).encode()
    names = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")
    return {**dict(zip(names, parts, strict=True)), "x-fal-webhook-signature": SIGNING.sign(message).hex()}


async def test_events_and_lists_show_the_account_s_own(
    invoking: Stack, http: httpx2.AsyncClient, account: str, queue: FalQueue
) -> None:
    first, second = await invoked(http, "linked"), await invoked(http, "linked")
    async with http.stream("GET", f"/v1/async-invoke/{second['request_id']}/events") as events:
        names = [line async for line in events.aiter_lines() if line.startswith("event:")]
    assert names[-1] == "event: async_invoke.completed"
    page = (await http.get("/v1/async-invoke", params={"limit": 1})).json()
    assert ([each["request_id"] for each in page["data"]], page["has_more"]) == ([second["request_id"]], True)
    stranger = await invoking.create_key(f"{account}-stranger")
    async with invoking.client(stranger.secret) as other:
        assert (await other.get(f"/v1/async-invoke/{first['request_id']}")).status_code == 404
        assert (await other.get("/v1/async-invoke")).json()["data"] == []
    assert (await http.delete(f"/v1/async-invoke/{first['request_id']}")).json()["deleted"] is True
    assert (await http.get(f"/v1/async-invoke/{first['request_id']}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"input": {}}, 400, "model_id"),
        ({"model_id": "linked"}, 400, "input"),
        ({"model_id": "linked", "input": []}, 400, "input"),
        ({"model_id": "nothing", "input": {}}, 404, "model_id"),
        ({"model_id": "scripted", "input": {}}, 400, "model_id"),
        ({"model_id": "linked", "input": {}, "tags": [{"key": "", "value": "a"}]}, 400, "tags[0].key"),
        ({"model_id": "linked", "input": {}, "webhook_url": "https://10.0.0.1/"}, 400, "webhook_url"),
        ({"model_id": "linked", "input": {}, "priority": 1}, 400, "priority"),
    ],
)
async def test_what_is_wrong_is_named(http: httpx2.AsyncClient, body: dict[str, Any], status: int, param: str) -> None:
    answer = await http.post("/v1/async-invoke", json=body)
    assert error_of(answer, status)["param"] == param


async def test_the_page_shows_what_runs(
    invoking: Stack, http: httpx2.AsyncClient, owner: NewKey, tmp_path: Path
) -> None:
    await run_page(PAGE, invoking, owner.secret, tmp_path)


async def _asked(queue: FalQueue, name: str) -> int:
    return queue.asked[name]


async def _value(value: bool) -> bool:
    return value


async def _last(queue: FalQueue) -> Any:
    return list(queue.requests.values())[-1] if queue.requests else None
