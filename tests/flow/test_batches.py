"""Files and batches with the official client: every line answered once, in a file, whatever dies on the way."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx2
import openai
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from schemas.batches import Batch
from storage.batches import Batches, new_batch_id
from storage.files import Files
from storage.line import Line
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from tests.asking import QUESTION
from tests.stack import Stack, running_stack, until
from tests.upstream import Reply, answer, refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS: Final = ("ingress", "worker", "streams", "batches")
CHAT: Final = "/v1/chat/completions"
SETTINGS: Final = {"PENSTOCK_BATCHES_WINDOW": "64", "PENSTOCK_BATCHES_CANCEL_S": "3", "PENSTOCK_BATCHES_LATE_S": "3"}
ENDED: Final = {"completed", "failed", "expired", "cancelled"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def batch_stack(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("batches")
    async with running_stack(folder, kafka_program, *PARTS, rows=[], **SETTINGS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def stack(batch_stack: Stack) -> AsyncIterator[Stack]:
    """Whoever comes next finds it mended."""
    batch_stack.upstream.reset()
    await batch_stack.mend(*PARTS)
    yield batch_stack


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, account: str) -> AsyncIterator[openai.AsyncOpenAI]:
    key = await stack.create_key(account)
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


def line(custom_id: str, *, url: str = CHAT, method: str = "POST", **body: Any) -> dict[str, Any]:
    return {
        "custom_id": custom_id,
        "method": method,
        "url": url,
        "body": {"model": "scripted", "messages": QUESTION, **body},
    }


def jsonl(lines: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


async def upload(sdk: openai.AsyncOpenAI, content: bytes) -> openai.types.FileObject:
    return await sdk.files.create(
        file=("asked.jsonl", content), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )


async def start(sdk: openai.AsyncOpenAI, content: bytes, endpoint: Any = CHAT) -> openai.types.Batch:
    file = await upload(sdk, content)
    return await sdk.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", metadata={"team": "blue"}
    )


async def ended(sdk: openai.AsyncOpenAI, batch_id: str, within_s: float = 40) -> openai.types.Batch:
    patient = sdk.with_options(max_retries=5)
    found = await until(lambda: patient.batches.retrieve(batch_id), lambda batch: batch.status in ENDED, within_s)
    assert isinstance(found, openai.types.Batch)
    return found


async def rows(sdk: openai.AsyncOpenAI, file_id: str | None) -> dict[str, dict[str, Any]]:
    """The rows of a file by their custom ids, each of which stands there once."""
    assert file_id is not None
    text = (await sdk.files.content(file_id)).text
    found = [json.loads(each) for each in text.splitlines()]
    assert len({row["custom_id"] for row in found}) == len(found)
    return {row["custom_id"]: row for row in found}


async def test_a_batch_is_answered_line_by_line(stack: Stack, sdk: openai.AsyncOpenAI, account: str) -> None:
    batch = await start(sdk, jsonl([line(f"line-{n}", seed=n) for n in range(200)]))
    assert (batch.status, batch.object, batch.metadata) == ("validating", "batch", {"team": "blue"})
    assert batch.expires_at is not None
    assert batch.expires_at == batch.created_at + 86_400
    done = await ended(sdk, batch.id)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert (done.request_counts.total, done.request_counts.completed, done.request_counts.failed) == (200, 200, 0)
    assert done.error_file_id is None
    assert done.completed_at is not None
    found = await rows(sdk, done.output_file_id)
    assert set(found) == {f"line-{n}" for n in range(200)}
    one = found["line-7"]
    assert one["error"] is None
    assert one["response"]["status_code"] == 200
    assert one["response"]["body"]["choices"][0]["message"]["content"] == "Hello there"
    charges = await stack.charges(account, 200)
    assert len({charge.event.job_id for charge in charges}) == 200
    assert one["response"]["request_id"] in {charge.event.job_id for charge in charges}
    assert {(each.event.lane, each.event.usage.output_tokens) for each in charges} == {("text.default-batch", 2)}
    bytes_go_ms = await _bytes_go_ms(stack, account, batch.input_file_id)
    assert bytes_go_ms / 1000 > batch.expires_at, "a file that expires sooner is there for as long as it may be read"
    listed = await sdk.batches.list(limit=1)
    assert [each.id for each in listed.data] == [batch.id]
    output = await sdk.files.retrieve(done.output_file_id or "")
    assert (output.purpose, output.filename) == ("batch_output", f"{batch.id}_output.jsonl")


async def _bytes_go_ms(stack: Stack, account: str, file_id: str) -> float:
    async with Redis.from_url(stack.redis_url) as redis:
        due_ms = await redis.zscore("penstock:objects", f"files/{account}/{file_id}")
    assert due_ms is not None
    return float(due_ms)


async def test_what_is_wrong_with_a_line_is_told_in_the_errors_file(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    stack.upstream.script(refusal(400, {"message": "no such thing", "type": "invalid_request_error"}))
    lines = [
        line("engine"),
        line("range", temperature=9),
        line("stream", stream=True),
        line("model", model="no-such"),
    ]
    first = await ended(sdk, (await start(sdk, jsonl(lines[:1]))).id)
    (failed,) = (await rows(sdk, first.error_file_id)).values()
    assert (failed["response"]["status_code"], first.output_file_id) == (400, None)
    assert failed["response"]["body"]["error"]["message"] == "no such thing"
    done = await ended(sdk, (await start(sdk, jsonl([*lines[1:], line("good")]))).id)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 3)
    assert set(await rows(sdk, done.output_file_id)) == {"good"}
    told = {
        name: (row["response"]["status_code"], row["response"]["body"]["error"]["param"])
        for name, row in (await rows(sdk, done.error_file_id)).items()
    }
    assert told == {"range": (400, "temperature"), "stream": (400, "stream"), "model": (404, "model")}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", ("empty_file", None, "input_file_id")),
        (b"{\n", ("invalid_json_line", 1, None)),
        (jsonl([{"custom_id": "a"}]), ("invalid_request", 1, None)),
        (jsonl([line("a"), line("a")]), ("duplicate_custom_id", 2, "custom_id")),
        (jsonl([line("a"), line("b", url="/v1/embeddings")]), ("mismatched_url", 2, "url")),
        (jsonl([line("a", method="GET")]), ("invalid_method", 1, "method")),
        (jsonl([{**line("a"), "body": [1]}]), ("invalid_body", 1, "body")),
        (jsonl([line("")]), ("invalid_custom_id", 1, "custom_id")),
    ],
)
async def test_a_file_that_is_no_batch_fails_before_anything_runs(
    stack: Stack, sdk: openai.AsyncOpenAI, content: bytes, fault: tuple[str, int | None, str | None]
) -> None:
    done = await ended(sdk, (await start(sdk, content)).id)
    assert (done.status, done.output_file_id, done.error_file_id) == ("failed", None, None)
    assert done.errors is not None
    assert done.errors.data is not None
    assert [(each.code, each.line, each.param) for each in done.errors.data] == [fault]
    assert stack.upstream.asked == []


async def test_files_are_kept_listed_and_deleted(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    content = jsonl([line("a")])
    file = await sdk.files.create(
        file=("asked.jsonl", content), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.bytes, file.filename, file.purpose) == (len(content), "asked.jsonl", "batch")
    assert file.expires_at == file.created_at + 3600
    second = await upload(sdk, content)
    assert [each.id for each in (await sdk.files.list()).data] == [second.id, file.id]
    assert [each.id for each in (await sdk.files.list(order="asc", limit=1)).data] == [file.id]
    assert [each.id for each in (await sdk.files.list(purpose="batch_output")).data] == []
    assert (await sdk.files.content(file.id)).content == content
    stranger = await stack.create_key("stranger")
    async with stack.client(stranger.secret) as other:
        for path in (f"/v1/files/{file.id}", f"/v1/files/{file.id}/content"):
            assert (await other.get(path)).status_code == 404
        assert (await other.delete(f"/v1/files/{file.id}")).status_code == 404
    assert (await sdk.files.delete(file.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await sdk.files.content(file.id)
    assert [each.id for each in (await sdk.files.list()).data] == [second.id]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "purpose"),
        ({"purpose": "fine-tune"}, "purpose"),
        ({"purpose": "batch", "expires_after[anchor]": "now"}, "expires_after.anchor"),
        (
            {"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "5"},
            "expires_after.seconds",
        ),
    ],
)
async def test_an_upload_that_is_wrong_is_refused_by_name(
    stack: Stack, account: str, fields: dict[str, str], param: str
) -> None:
    key = await stack.create_key(account)
    async with stack.client(key.secret) as http:
        told = await http.post("/v1/files", data=fields, files={"file": ("a.jsonl", b"{}")})
        assert (told.status_code, told.json()["error"]["param"]) == (400, param)
        assert (await http.post("/v1/files", data={"purpose": "batch"}, files={})).status_code == 400
        assert (await http.get("/v1/files")).json()["data"] == []


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"endpoint": CHAT, "completion_window": "24h"}, 400, "input_file_id"),
        ({"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}, 404, "input_file_id"),
        ({"input_file_id": "FILE", "endpoint": "/v1/videos", "completion_window": "24h"}, 400, "endpoint"),
        ({"input_file_id": "FILE", "endpoint": CHAT, "completion_window": "1h"}, 400, "completion_window"),
        ({"file_id": "FILE", "provider": "openai", "completion_window": "24h", "request_id": "r"}, 400, "endpoint"),
        (
            {
                "file_id": "FILE",
                "provider": "anthropic",
                "endpoint": CHAT,
                "completion_window": "24h",
                "request_id": "r",
            },
            400,
            "endpoint",
        ),
        ({"file_id": "FILE", "provider": "openai", "endpoint": CHAT, "completion_window": "24h"}, 400, "request_id"),
    ],
)
async def test_a_batch_that_is_wrong_is_refused_by_name(
    stack: Stack, sdk: openai.AsyncOpenAI, body: dict[str, Any], status: int, param: str
) -> None:
    file = await upload(sdk, jsonl([line("a")]))
    async with stack.client(sdk.api_key) as http:
        told = await http.post("/v1/batches", json={k: file.id if v == "FILE" else v for k, v in body.items()})
    assert (told.status_code, told.json()["error"]["param"]) == (status, param)


async def test_a_cancelled_batch_keeps_what_it_has_and_tells_of_the_rest(
    stack: Stack, sdk: openai.AsyncOpenAI, account: str
) -> None:
    release = asyncio.Event()
    stack.upstream.otherwise = Reply([release, *answer("Hello", " there").steps])
    batch = await start(sdk, jsonl([line(f"line-{n}") for n in range(300)]))
    await stack.upstream.arrived(10)
    file_in_use = await _status(stack, sdk, "DELETE", f"/v1/files/{batch.input_file_id}")
    assert file_in_use == 409
    assert (await sdk.batches.cancel(batch.id)).status == "cancelling"
    release.set()
    done = await ended(sdk, batch.id)
    assert (done.status, done.cancelled_at is not None) == ("cancelled", True)
    assert done.request_counts is not None
    answers, errors = await rows(sdk, done.output_file_id), await rows(sdk, done.error_file_id)
    assert (done.request_counts.completed, done.request_counts.failed) == (len(answers), len(errors))
    assert len(answers) + len(errors) == 300
    assert 10 <= len(answers) <= 64
    assert {row["error"]["code"] for row in errors.values()} == {"batch_cancelled"}
    assert await _status(stack, sdk, "POST", f"/v1/batches/{batch.id}/cancel") == 409


async def test_a_revoked_keys_batch_is_stopped_and_says_why(stack: Stack, account: str) -> None:
    """What ran is let end, as over HTTP; what waits does not begin."""
    release, created = asyncio.Event(), await stack.create_key(account)
    other = await stack.create_key(account)
    stack.upstream.otherwise = Reply([release, *answer("Hello", " there").steps])
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=created.secret, max_retries=0) as its_own:
        batch = await start(its_own, jsonl([line(f"line-{n}") for n in range(300)]))
    await stack.upstream.arrived(10)
    await stack.revoke_key(created.key.id)
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=other.secret, max_retries=0) as sdk:
        await until(lambda: sdk.batches.retrieve(batch.id), lambda found: found.status == "cancelling")
        asked = len(stack.upstream.asked)
        release.set()
        done = await ended(sdk, batch.id)
        answers, errors = await rows(sdk, done.output_file_id), await rows(sdk, done.error_file_id)
    assert (done.status, done.failed_at is not None, done.cancelled_at) == ("failed", True, None)
    assert done.errors is not None
    assert [fault.code for fault in done.errors.data or ()] == ["invalid_api_key"]
    assert len(answers) + len(errors) == 300
    assert 10 <= len(answers) <= asked <= 64, "what was begun is answered, and nothing else"
    assert {row["error"]["code"] for row in errors.values()} == {"batch_cancelled"}
    assert (done.model_extra or {})["cancel_requested_at"] is None
    assert len(stack.upstream.asked) == asked


async def _status(stack: Stack, sdk: openai.AsyncOpenAI, method: str, path: str) -> int:
    async with stack.client(sdk.api_key) as http:
        return (await http.request(method, path)).status_code


@pytest.mark.parametrize(
    "victim", ["batches", *(pytest.param(each, marks=pytest.mark.slow) for each in ("worker", "valkey"))]
)
async def test_half_a_batch_survives_what_dies(
    stack: Stack, sdk: openai.AsyncOpenAI, account: str, victim: str
) -> None:
    count = 400
    batch = await start(sdk, jsonl([line(f"line-{n}") for n in range(count)]))
    await stack.upstream.arrived(count // 4)
    assert (await sdk.batches.retrieve(batch.id)).status == "in_progress"
    await stack.kill(victim)
    await stack.start(victim, **SETTINGS)
    done = await ended(sdk, batch.id, 60)
    assert done.status == "completed"
    assert done.request_counts is not None
    assert (done.request_counts.completed, done.request_counts.failed) == (count, 0)
    assert len(await rows(sdk, done.output_file_id)) == count
    charges = await stack.charges(account, count)
    assert len({charge.event.job_id for charge in charges}) == len(charges) == count


async def test_what_is_left_when_the_window_ends_is_told_of(stack: Stack, account: str) -> None:
    """No caller may ask for a window this short: the batch is made where its record lies."""
    created = await stack.create_key(account)
    stack.upstream.mute = True
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=created.secret, max_retries=0) as sdk:
        source = await upload(sdk, jsonl([line(f"line-{n}") for n in range(100)]))
        redis = Line(stack.redis_url)
        await redis.open()
        try:
            kept = await Files(redis).get(account, source.id)
            assert kept is not None
            now_ms = time.time_ns() // 1_000_000
            batch = Batch(
                id=new_batch_id(now_ms),
                account=account,
                key=created.key,
                address="127.0.0.1",
                family="openai",
                lines="openai",
                endpoint=CHAT,
                input=kept,
                created_ms=now_ms,
                expires_ms=now_ms + 4_000,
                output_keep_ms=3_600_000,
            )
            await Batches(redis).create(batch, 8)
        finally:
            await redis.close()
        await stack.upstream.arrived(1)
        done = await ended(sdk, batch.id)
        assert (done.status, done.output_file_id, done.expired_at is not None) == ("expired", None, True)
        errors = await rows(sdk, done.error_file_id)
    assert len(errors) == 100
    assert {row["error"]["code"] for row in errors.values()} == {"batch_expired"}
    charges = await stack.charges(account, 1)
    assert sum(charge.cost_microusd for charge in charges) == 0, "nothing came of any line"


async def test_batches_and_their_lines_are_counted(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    await stack.stop("batches")
    await stack.start("batches", PENSTOCK_METRICS_PORT=str(port), **SETTINGS)
    made = await stack.metric("penstock_ingress_batches_total", state="validating")
    await ended(sdk, (await start(sdk, jsonl([line("a"), line("b"), line("wrong", temperature=9)]))).id)
    await ended(sdk, (await start(sdk, b"{")).id)
    assert await stack.metric("penstock_ingress_batches_total", state="validating") == made + 2

    async def states() -> list[float]:
        wanted = ("in_progress", "completed", "failed")
        return [await stack.metric("penstock_ingress_batches_total", url, state=each) for each in wanted]

    await until(states, lambda seen: seen == [1, 1, 1])
    for end, lines in (("completed", 2), ("failed", 1)):
        assert await stack.metric("penstock_ingress_batch_lines_total", url, end=end) == lines
    await until(lambda: stack.metric("penstock_ingress_batches_run", url), lambda running: running == 0)


async def test_digitaloceans_shape(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    async with stack.client(sdk.api_key) as http, httpx2.AsyncClient(trust_env=False) as plain:
        told = await http.post("/v1/batches/files", json={"file_name": "x.jsonl"})
        announced = told.json()
        assert (told.status_code, set(announced)) == (201, {"file_id", "upload_url", "expires_at"})
        url = stack.url + httpx2.URL(announced["upload_url"]).path
        put = await plain.put(
            url, content=jsonl([line("a"), line("b")]), headers={"content-type": "application/x-ndjson"}
        )
        assert put.status_code == 200
        assert (await plain.put(url, content=b"other")).status_code == 409
        asked = {
            "file_id": announced["file_id"],
            "provider": "openai",
            "endpoint": CHAT,
            "completion_window": "24h",
            "request_id": "request-1",
        }
        first = await http.post("/v1/batches", json=asked)
        again = await http.post("/v1/batches", json=asked)
        assert (first.status_code, again.status_code) == (201, 201)
        batch_id = first.json()["id"]
        assert again.json()["id"] == batch_id
        early = await http.get(f"/v1/batches/{batch_id}/results")
        assert early.status_code in (200, 412)
        await ended(sdk, batch_id)
        shown = (await http.get(f"/v1/batches/{batch_id}")).json()
        assert (shown["file_id"], shown["input_file_id"]) == (announced["file_id"], announced["file_id"])
        assert (shown["request_id"], shown["provider"], shown["result_available"]) == ("request-1", "openai", True)
        listed = (await http.get("/v1/batches")).json()
        assert [each["cursor"] for each in listed["edges"]] == [each["id"] for each in listed["data"]] == [batch_id]
        assert listed["page_info"] == {"endCursor": batch_id, "hasNextPage": False}
        results = (await http.get(f"/v1/batches/{batch_id}/results")).json()
        assert results["output_file_url"] == results["download"]["presigned_url"]
        parts = httpx2.URL(results["download"]["presigned_url"])
        content = await plain.get(stack.url + parts.raw_path.decode())
        assert {json.loads(each)["custom_id"] for each in content.text.splitlines()} == {"a", "b"}


async def test_of_two_puts_at_one_url_one_is_taken(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    first, second = jsonl([line("first")]), jsonl([line("second")])
    file_id, url = await _announced(stack, sdk)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield first[:10]
        await go_on.wait()
        yield first[10:]

    async with httpx2.AsyncClient(trust_env=False) as plain:
        putting = asyncio.create_task(plain.put(url, content=slowly()))
        await until(lambda: _puts(stack), lambda names: len(names) == 1)
        refused = await plain.put(url, content=second)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "conflict")
        go_on.set()
        assert (await putting).status_code == 200
        late = await plain.put(url, content=second)
        assert (late.status_code, late.json()["error"]["code"]) == (409, "too_late")
    assert (await sdk.files.content(file_id)).content == first


async def test_a_put_that_breaks_off_leaves_the_url_to_another(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    file_id, url = await _announced(stack, sdk)
    content, broken = jsonl([line("a")]), asyncio.Event()

    async def breaking() -> AsyncIterator[bytes]:
        yield content[:10]
        await broken.wait()
        raise ConnectionResetError("the producer is gone")

    async with httpx2.AsyncClient(trust_env=False) as plain:
        putting = asyncio.create_task(plain.put(url, content=breaking()))
        await until(lambda: _puts(stack), lambda names: len(names) == 1)
        broken.set()
        with pytest.raises(ConnectionResetError):
            await putting
        await until(lambda: _puts(stack), lambda names: not names)
        assert (await plain.put(url, content=content)).status_code == 200
    assert (await sdk.files.content(file_id)).content == content


async def _announced(stack: Stack, sdk: openai.AsyncOpenAI) -> tuple[str, str]:
    """A file's id, and the URL that it may be put at."""
    async with stack.client(sdk.api_key) as http:
        told = (await http.post("/v1/batches/files", json={"file_name": "x.jsonl"})).json()
    return told["file_id"], stack.url + httpx2.URL(told["upload_url"]).path


async def _puts(stack: Stack) -> list[bytes]:
    """The uploads that a door is taking in."""
    async with Redis.from_url(stack.redis_url) as redis:
        return list(await redis.keys("penstock:upload:*:put"))


async def test_lines_in_anthropics_shape(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    params = {"model": "scripted", "max_tokens": 64, "messages": QUESTION}
    content = jsonl([{"custom_id": "good", "params": params}, {"custom_id": "bad", "params": {**params, "top_p": 7}}])
    file = await upload(sdk, content)
    async with stack.client(sdk.api_key) as http:
        asked = {"file_id": file.id, "provider": "anthropic", "completion_window": "24h", "request_id": "r"}
        batch = (await http.post("/v1/batches", json=asked)).json()
    done = await ended(sdk, batch["id"])
    good, bad = await rows(sdk, done.output_file_id), await rows(sdk, done.error_file_id)
    assert good["good"]["result"]["type"] == "succeeded"
    assert good["good"]["result"]["message"]["content"] == [{"type": "text", "text": "Hello there"}]
    assert bad["bad"]["result"]["type"] == "errored"
    assert bad["bad"]["result"]["error"]["error"]["type"] == "invalid_request_error"
