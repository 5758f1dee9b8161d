"""Submissions in through Kafka, results out through Kafka: every text operation, as HTTP would answer it."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
import pytest_asyncio

from schemas.access import Limits
from schemas.topics import DEAD_LETTERS
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from tests import upstream
from tests.asking import QUESTION, ask
from tests.lane_log import found, headers_of, reading
from tests.producer import Producer
from tests.stack import Stack, running_stack, until
from tests.upstream import Reply, answer, refusal

pytestmark = pytest.mark.asyncio(loop_scope="session")

PARTS = ("ingress", "worker", "streams", "logdoor")
SHORT = {"PENSTOCK_UNSERVED_S": "4", "PENSTOCK_LOG_DOOR_PATIENCE_S": "2"}
CHAT = "/v1/chat/completions"
BODIES: dict[str, dict[str, Any]] = {
    CHAT: {"messages": QUESTION},
    "/v1/completions": {"prompt": "Greet me."},
    "/v1/messages": {"messages": QUESTION, "max_tokens": 64},
    "/v1/responses": {"input": "Greet me."},
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def log_stack(kafka_program: KafkaProgram, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder: Path = tmp_path_factory.mktemp("log-door")
    rows = [
        {"id": "hasty", "deadline_s": 1},
        {"id": "wide", "context_tokens": 4_000_000, "max_output_tokens": 100_000},
        {"id": "unserved", "lane": "text.unserved"},
    ]
    async with running_stack(folder, kafka_program, *PARTS, rows=rows, **SHORT) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def stack(log_stack: Stack) -> AsyncIterator[Stack]:
    """Whoever comes next finds it mended."""
    log_stack.upstream.reset()
    await log_stack.mend(*PARTS)
    yield log_stack


@pytest_asyncio.fixture(loop_scope="session")
async def producer(stack: Stack, account: str) -> AsyncIterator[Producer]:
    key = await stack.create_key(account)
    async with Producer(stack.bootstrap, key.secret).open() as opened:
        yield opened


def said(operation: str, body: Any) -> str:
    match operation:
        case "/v1/chat/completions":
            return str(body["choices"][0]["message"]["content"])
        case "/v1/completions":
            return str(body["choices"][0]["text"])
        case "/v1/messages":
            return str(body["content"][0]["text"])
        case _:
            return str(body["output"][0]["content"][0]["text"])


@pytest.mark.parametrize("operation", BODIES)
async def test_each_operation_is_answered_as_over_http(
    stack: Stack, producer: Producer, account: str, operation: str
) -> None:
    told = await producer.ask(operation, {"model": "scripted", **BODIES[operation]}, headers={"team": "blue"})
    result = told.value
    assert (result["status"], result["error"]) == (200, None)
    assert said(operation, result["body"]) == "Hello there"
    assert (result["usage"]["input_tokens"], result["usage"]["output_tokens"]) == (7, 2)
    assert (result["operation"], result["model"]) == (operation, "scripted")
    assert told.key == account
    assert told.headers == {"team": b"blue"}, "the access key goes back to nobody"
    (charge,) = await stack.charges(account, 1)
    assert (charge.event.job_id, charge.event.usage.output_tokens) == (result["id"], 2)
    await stack.until_free(account)


MEDIA: dict[str, dict[str, Any]] = {
    "/v1/embeddings": {"model": "all-minilm-l6-v2", "input": "The tide comes in."},
    "/v1/audio/speech": {"model": "piper-en-us-joe", "input": "The tide.", "voice": "joe", "response_format": "wav"},
    "/v1/images/generations": {"model": "storyboard-image", "prompt": "The tide comes in.", "size": "256x256"},
}


@pytest.mark.parametrize("operation", MEDIA)
async def test_media_are_answered_too(stack: Stack, producer: Producer, account: str, operation: str) -> None:
    await stack.start("builtin")
    told = (await producer.ask(operation, MEDIA[operation])).value
    assert (told["status"], told["error"]) == (200, None)
    match operation:
        case "/v1/embeddings":
            assert len(told["body"]["data"][0]["embedding"]) == 384
        case "/v1/audio/speech":
            assert base64.b64decode(told["body"]["audio"])[:4] == b"RIFF"
        case _:
            assert base64.b64decode(told["body"]["data"][0]["b64_json"])[:8] == b"\x89PNG\r\n\x1a\n"
    (charge,) = await stack.charges(account, 1)
    assert charge.event.job_id == told["id"]


async def test_a_video_is_answered_when_it_is_made(stack: Stack, producer: Producer, account: str) -> None:
    await asyncio.gather(stack.start("dispatcher"), stack.start("jobs"))
    body = {"model": "storyboard-video", "prompt": "The tide comes in.", "seconds": 1, "size": "854x480"}
    told = await producer.ask("/v1/videos", body, idempotency_key="film-1", headers={"team": "blue"})
    video = told.value["body"]
    assert (told.value["status"], video["object"], video["status"]) == (200, "video", "completed")
    assert (told.key, told.headers) == (account, {"team": b"blue"})
    async with stack.client(producer.secret) as http:
        film = await http.get(f"/v1/videos/{video['id']}/content")
    assert film.content[4:8] == b"ftyp"
    again = await producer.ask("/v1/videos", body, idempotency_key="film-1")
    assert again.value["body"] == video
    wrong = (await producer.ask("/v1/videos", {**body, "size": "1x1"})).value
    assert (wrong["status"], wrong["error"]["param"]) == (400, "size")
    (charge,) = await stack.charges(account, 1)
    assert charge.event.job_id == told.value["id"]
    await stack.until_free(account)


async def test_a_video_is_told_of_in_the_family_it_was_asked_for_in(stack: Stack, producer: Producer) -> None:
    await asyncio.gather(stack.start("dispatcher"), stack.start("jobs"))
    body = {"model": "storyboard-video", "prompt": "The tide comes in.", "seconds": 1, "size": "854x480"}
    told = (await producer.ask("/v1/video/generations", body)).value
    film = told["body"]
    assert (told["status"], told["operation"]) == (200, "/v1/video/generations")
    assert (film["id"], film["status"], film["output"]) == (told["id"], "completed", None)


async def test_a_file_is_announced_and_its_batch_made(stack: Stack, producer: Producer, account: str) -> None:
    await stack.start("batches")
    announced = (await producer.ask("/v1/batches/files", {"file_name": "asked.jsonl"}, idempotency_key="file-1")).value
    assert (announced["status"], announced["error"], announced["usage"]) == (201, None, None)
    again = (await producer.ask("/v1/batches/files", {"file_name": "asked.jsonl"}, idempotency_key="file-1")).value
    assert again["body"] == announced["body"], "the same file, at the same URL"
    line = {"custom_id": "a", "method": "POST", "url": CHAT, "body": {"model": "scripted", "messages": QUESTION}}
    put_at = stack.url + urlsplit(announced["body"]["upload_url"]).path
    async with httpx2.AsyncClient(trust_env=False) as plain:
        assert (await plain.put(put_at, content=json.dumps(line).encode())).status_code == 200
    file_id = announced["body"]["file_id"]
    openais = {"input_file_id": file_id, "endpoint": CHAT, "completion_window": "24h"}
    theirs = {
        "file_id": file_id,
        "provider": "openai",
        "endpoint": CHAT,
        "completion_window": "24h",
        "request_id": "request-1",
    }
    first = await producer.ask("/v1/batches", openais, idempotency_key="batch-1", headers={"team": "blue"})
    assert (first.value["status"], first.key, first.headers) == (200, account, {"team": b"blue"})
    twin = (await producer.ask("/v1/batches", openais, idempotency_key="batch-1")).value
    assert twin["body"] == first.value["body"], "submitted again, it is the same batch"
    second = (await producer.ask("/v1/batches", theirs)).value
    assert (second["status"], second["body"]["request_id"]) == (201, "request-1")
    wrong = (await producer.ask("/v1/batches", {**openais, "input_file_id": "file-none"})).value
    assert (wrong["status"], wrong["error"]["param"]) == (404, "input_file_id")
    async with stack.client(producer.secret) as http:
        listed = (await http.get("/v1/batches")).json()["data"]
        assert {each["id"] for each in listed} == {first.value["body"]["id"], second["body"]["id"]}
        await asyncio.gather(*[completed(http, each["id"]) for each in listed])
    assert len(await stack.charges(account, 2)) == 2


async def completed(http: httpx2.AsyncClient, batch_id: str) -> None:
    await until(lambda: http.get(f"/v1/batches/{batch_id}"), lambda told: told.json()["status"] == "completed")


async def test_a_refusal_comes_in_the_operations_own_dialect(producer: Producer) -> None:
    wrong = {"model": "scripted", "messages": QUESTION, "temperature": 9}
    told = (await producer.ask(CHAT, wrong)).value
    assert (told["status"], told["error"]["code"], told["error"]["param"]) == (400, "invalid_value", "temperature")
    assert told["body"]["error"]["param"] == "temperature"
    told = (await producer.ask("/v1/messages", {**wrong, "max_tokens": 5})).value
    assert told["body"]["type"] == "error"
    assert told["body"]["error"]["type"] == "invalid_request_error"
    told = (await producer.ask(CHAT, {"model": "no-such", "messages": QUESTION})).value
    assert (told["status"], told["error"]["code"], told["usage"]) == (404, "model_not_found", None)


@pytest.mark.parametrize(
    ("operation", "field"), [(CHAT, "stream"), ("/v1/responses", "store"), ("/v1/responses", "background")]
)
async def test_what_a_result_cannot_be_is_refused_by_name(producer: Producer, operation: str, field: str) -> None:
    told = (await producer.ask(operation, {"model": "scripted", **BODIES[operation], field: True})).value
    assert (told["status"], told["error"]["param"]) == (400, field)


async def test_a_failure_of_the_engine_is_told_and_not_charged(stack: Stack, producer: Producer, account: str) -> None:
    stack.upstream.otherwise = refusal(400, {"message": "no such thing", "type": "invalid_request_error"})
    told = (await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})).value
    assert (told["status"], told["error"]["message"]) == (400, "no such thing")
    (charge,) = await stack.charges(account, 1)
    assert charge.cost_microusd == 0


async def test_a_wrong_key_is_told_so_and_nothing_runs(stack: Stack, producer: Producer) -> None:
    named = await producer.send(CHAT, {"model": "scripted", "messages": QUESTION}, secret="sk-wrong")
    (told,) = await producer.results(named)
    assert (told.value["status"], told.value["error"]["code"], told.key) == (401, "invalid_api_key", None)
    assert stack.upstream.asked == []


async def test_a_key_bound_to_networks_is_refused_where_there_are_none(stack: Stack, account: str) -> None:
    key = await stack.create_key(account, networks=("127.0.0.0/8",))
    async with Producer(stack.bootstrap, key.secret).open() as producer:
        told = (await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})).value
    assert (told["status"], told["error"]["code"]) == (403, "permission_denied")


async def test_a_limit_that_is_reached_answers_with_when_to_come_again(stack: Stack, account: str) -> None:
    key = await stack.create_key(account)
    await stack.set_limits(account, Limits(requests_per_min=1))
    async with Producer(stack.bootstrap, key.secret).open() as producer:
        first = await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})
        second = await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})
    assert first.value["status"] == 200
    assert (second.value["status"], second.value["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 0 < second.value["error"]["retry_after_s"] <= 60


@pytest.mark.parametrize(
    ("value", "says", "correlation_id"),
    [
        (b"\xc1 is no JSON", "submission", None),
        (b'{"operation": "/v1/chat/completions"}', "body", None),
        (b'{"operation": "/v1/nothing", "body": {}, "correlation_id": "c-9"}', "operation", "c-9"),
        (b'{"operation": "/v1/chat/completions", "body": {}, "correlation_id": 9}', "correlation_id", None),
        (b'{"operation": "/v1/chat/completions", "body": {}, "surprise": 1}', "surprise", None),
        (b"[" * 100_000, "submission", None),
    ],
)
async def test_what_cannot_be_read_is_set_aside_and_stops_nobody(
    stack: Stack, producer: Producer, account: str, value: bytes, *, says: str, correlation_id: str | None
) -> None:
    for _ in range(8):
        await producer.put(value, headers={"test": account})
    told = await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})
    assert told.value["status"] == 200
    refused = await producer.having("test", account)
    assert (refused.value["status"], refused.key) == (400, account)
    assert refused.value["correlation_id"] == correlation_id
    assert says in refused.value["error"]["message"]
    async with reading(stack.bootstrap, DEAD_LETTERS) as letters, asyncio.timeout(10):
        letter = await found(letters, lambda message: headers_of(message).get("test") == account)
    assert letter.value == value
    assert says in headers_of(letter)["reason"]
    assert headers_of(letter)["origin"].startswith("penstock.submissions/")
    assert "authorization" not in headers_of(letter)


async def test_the_same_idempotency_key_runs_once(stack: Stack, producer: Producer, account: str) -> None:
    body = {"model": "scripted", "messages": QUESTION}
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *answer("once").steps]))
    first = await producer.send(CHAT, body, idempotency_key="order-1")
    await stack.upstream.arrived(1)
    early = await producer.ask(CHAT, body, idempotency_key="order-1")
    assert (early.value["status"], early.value["error"]["code"]) == (409, "idempotency_key_in_use")
    release.set()
    (told,) = await producer.results(first)
    late = await producer.ask(CHAT, body, idempotency_key="order-1", headers={"try": "3"})
    assert late.headers == {"try": b"3"}
    assert (late.value["id"], late.value["body"]) == (told.value["id"], told.value["body"])
    other = await producer.ask(CHAT, {**body, "temperature": 0.5}, idempotency_key="order-1")
    assert (other.value["status"], other.value["error"]["param"]) == (400, "idempotency_key")
    assert len(stack.upstream.asked) == 1
    assert len(await stack.charges(account, 1)) == 1


async def test_the_keys_of_two_accounts_have_nothing_to_do_with_each_other(stack: Stack, producer: Producer) -> None:
    body = {"model": "scripted", "messages": QUESTION}
    told = await producer.ask(CHAT, body, idempotency_key="order-2")
    other = await stack.create_key(f"other-{secrets.token_hex(4)}")
    theirs = await producer.ask(CHAT, body, idempotency_key="order-2", secret=other.secret)
    assert theirs.value["status"] == 200
    assert theirs.value["id"] != told.value["id"]


async def test_what_failed_may_be_submitted_again_with_its_key(stack: Stack, producer: Producer) -> None:
    body = {"model": "scripted", "messages": QUESTION}
    stack.upstream.script(refusal(400, {"message": "not today", "type": "invalid_request_error"}))
    assert (await producer.ask(CHAT, body, idempotency_key="order-3")).value["status"] == 400
    assert (await producer.ask(CHAT, body, idempotency_key="order-3")).value["status"] == 200


async def test_a_full_lane_holds_submissions_back_until_it_has_room(stack: Stack, producer: Producer) -> None:
    """HTTP's clients are told to come again; what lies in the log waits there."""
    async with stack.client(producer.secret) as http:
        await until(lambda: ask(http, "unserved"), lambda answered: answered.status_code == 503)
    body = {"model": "unserved", "messages": QUESTION}
    named = [await producer.send(CHAT, body) for _ in range(20)]
    told = await producer.ask(CHAT, {"model": "scripted", "messages": QUESTION})
    assert told.value["status"] == 200, "others are not kept waiting"
    assert not [each for each in producer.told if each.value["correlation_id"] in named]
    late = [(await producer.results(each))[0].value for each in named]
    assert {(each["status"], each["error"]["code"]) for each in late} == {(503, "overloaded")}


async def test_a_deadline_ends_a_submission_too(stack: Stack, producer: Producer, account: str) -> None:
    stack.upstream.mute = True
    told = (await producer.ask(CHAT, {"model": "hasty", "messages": QUESTION})).value
    assert (told["status"], told["error"]["code"]) == (504, "deadline_exceeded")
    await stack.until_free(account)


@pytest.mark.slow
async def test_a_job_that_no_worker_ends_is_ended_after_its_deadline(
    stack: Stack, producer: Producer, account: str
) -> None:
    await stack.kill("worker")
    told = (await producer.results(await producer.send(CHAT, {"model": "hasty", "messages": QUESTION}), 1, 40))[0]
    assert (told.value["status"], told.value["error"]["code"]) == (504, "deadline_exceeded")
    await stack.until_free(account)


async def test_bodies_as_large_as_a_message_pass_both_ways(stack: Stack, producer: Producer) -> None:
    """The envelope, with what it must carry, is larger than the log takes: its body goes by object storage."""
    said_back = "y" * 2_000_000
    stack.upstream.otherwise = answer(said_back)
    padding = "x" * 925_000
    body = {"model": "wide", "messages": [{"role": "user", "content": padding}]}
    told = (await producer.ask(CHAT, body, headers={"note": "z" * 20_000})).value
    assert stack.upstream.asked[0].body["messages"][0]["content"] == padding
    assert (told["status"], told["body"]) == (200, None)
    async with httpx2.AsyncClient(base_url=stack.url, trust_env=False) as http:
        whole = (await http.get(urlsplit(told["body_url"])._replace(scheme="", netloc="").geturl())).json()
    assert whole["choices"][0]["message"]["content"] == said_back


async def test_killed_log_door_loses_no_submission_and_charges_none_twice(
    stack: Stack, producer: Producer, account: str
) -> None:
    body = {"model": "scripted", "messages": QUESTION}
    named = [await producer.send(CHAT, body) for _ in range(60)]
    await producer.results(named[0])
    await stack.kill("logdoor")
    named += [await producer.send(CHAT, body) for _ in range(60)]
    await stack.start("logdoor", **SHORT)
    told = [(await producer.results(each))[0].value for each in named]
    assert [result["status"] for result in told] == [200] * 120
    assert len({result["id"] for result in told}) == 120
    charges = await stack.charges(account, 120)
    assert {charge.event.job_id for charge in charges} == {result["id"] for result in told}
    await stack.until_free(account)


async def test_a_killed_workers_submissions_run_elsewhere(stack: Stack, producer: Producer, account: str) -> None:
    release = asyncio.Event()
    stack.upstream.otherwise = Reply([upstream.opening(), release, *answer("Hello", " there").steps[1:]])
    body = {"model": "scripted", "messages": QUESTION}
    named = [await producer.send(CHAT, body) for _ in range(10)]
    await stack.upstream.arrived(10)
    await stack.kill("worker")
    release.set()
    await stack.start("worker")
    told = [(await producer.results(each))[0].value for each in named]
    assert [said(CHAT, result["body"]) for result in told] == ["Hello there"] * 10
    charges = await stack.charges(account, 10)
    assert len({charge.event.job_id for charge in charges}) == 10


async def test_a_reply_that_came_while_the_door_was_dead_is_published(
    stack: Stack, producer: Producer, account: str
) -> None:
    release = asyncio.Event()
    stack.upstream.script(Reply([release, *answer("late").steps]))
    named = await producer.send(CHAT, {"model": "scripted", "messages": QUESTION})
    await stack.upstream.arrived(1)
    await stack.kill("logdoor")
    release.set()
    await stack.charges(account, 1)
    await stack.start("logdoor", **SHORT)
    (told,) = await producer.results(named)
    assert said(CHAT, told.value["body"]) == "late"


async def test_what_became_of_submissions_is_counted_by_operation(stack: Stack, producer: Producer) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}"
    await stack.stop("logdoor")
    await stack.start("logdoor", PENSTOCK_METRICS_PORT=str(port), **SHORT)
    body = {"model": "scripted", "messages": QUESTION}
    await producer.ask(CHAT, body, idempotency_key="counted")
    await producer.ask(CHAT, body, idempotency_key="counted")
    await producer.ask("/v1/completions", {"model": "no-such", "prompt": "Greet me."})
    await producer.put(b"no JSON")

    async def counted() -> dict[tuple[str, str], float]:
        return {each: await submissions(stack, url, *each) for each in COUNTED}

    await until(counted, lambda found: set(found.values()) == {1.0})
    assert await submissions(stack, url, "/v1/completions", "accepted") == 0


COUNTED = [
    (CHAT, "accepted"),
    (CHAT, "repeated"),
    ("/v1/completions", "refused"),
    ("unreadable", "dead_lettered"),
]


async def submissions(stack: Stack, url: str, operation: str, outcome: str) -> float:
    return await stack.metric("penstock_ingress_submissions_total", url, operation=operation, outcome=outcome)
