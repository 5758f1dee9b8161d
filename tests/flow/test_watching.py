"""What can be seen of a request from outside: ids, times, traces, counts, and logs without prompts."""

import asyncio
import json
import time
from typing import Any

import httpx2
import pytest

from schemas.topics import lane_topic
from storage.keys import NewKey
from tests import upstream
from tests.asking import PATH, QUESTION, ask, body, streaming
from tests.lane_log import found, headers_of, reading
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def test_every_answer_has_a_request_id_of_its_own(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        answers = [
            await ask(http),
            await ask(http, stream=True),
            await ask(http, temperature=9),
            await http.get("/v1/models"),
            await http.get("/nowhere"),
            await http.get("/healthz"),
        ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert all(each.startswith("req_") for each in ids)
    for each in ids[:5]:
        assert each in stack.log("ingress")


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_platforms_own_time_does_not_count_the_engines(stack: Stack, key: NewKey, streamed: bool) -> None:
    stack.upstream.script(Reply([0.5, *upstream.answer("a").steps]))
    asked_at = time.monotonic()
    async with stack.client(key.secret) as http:
        response = await ask(http, stream=streamed)
    took_ms = (time.monotonic() - asked_at) * 1000
    overhead_ms = float(response.headers["x-penstock-overhead-ms"])
    assert took_ms > 500
    assert 0 < overhead_ms < took_ms - 450


async def test_a_trace_crosses_kafka(stack: Stack, key: NewKey, account: str) -> None:
    async with reading(stack.bootstrap, lane_topic("text.default")) as messages:
        async with stack.client(key.secret) as http:
            http.headers["traceparent"] = TRACEPARENT
            assert (await ask(http, user=account)).status_code == 200
        async with asyncio.timeout(10):
            mine = await found(messages, lambda message: account.encode() in message.value)
    # Without an endpoint the platform makes no spans of its own, and passes on what it was given.
    assert headers_of(mine)["traceparent"] == TRACEPARENT
    assert headers_of(mine)["job_id"].startswith("job_")


@pytest.mark.parametrize("traceparent", [b"nonsense", b"00-" + b"f" * 5_000, b"00-\xe9-\xe9-01"], ids=len)
async def test_a_broken_trace_harms_nobody(stack: Stack, key: NewKey, traceparent: bytes) -> None:
    async with stack.client(key.secret) as http:
        response = await http.post(PATH, json=body(), headers=[(b"traceparent", traceparent)])
        assert response.status_code == 200


async def test_what_an_ingress_counts(stack: Stack, key: NewKey) -> None:
    names = {
        "penstock_ingress_jobs_accepted_total": {"model": "scripted"},
        "penstock_ingress_chunks_total": {"model": "scripted"},
        "penstock_ingress_first_chunk_seconds_count": {"model": "scripted"},
        "penstock_ingress_overhead_seconds_count": {"model": "scripted"},
        "penstock_ingress_requests_total": {"route": "/v1/chat/completions", "status": "200"},
        "penstock_ingress_errors_total": {"code": "stream_cut"},
    }
    before = {name: await stack.metric(name, **labels) for name, labels in names.items()}
    stack.upstream.script(
        upstream.answer("a", "b", "c"), Reply([upstream.opening(), upstream.text("a"), upstream.DONE])
    )
    release = asyncio.Event()
    async with stack.client(key.secret) as http:
        await ask(http, stream=True)
        await ask(http, stream=True)
        stack.upstream.script(Reply([release, *upstream.answer("a").steps]))
        asking = asyncio.create_task(ask(http))
        await stack.upstream.arrived(3)
        assert await stack.metric("penstock_ingress_requests_in_flight") == 1
        assert await stack.metric("penstock_ingress_jobs_followed") == 1
        release.set()
        await asking
    after = {name: await stack.metric(name, **labels) for name, labels in names.items()}
    rise = {name.removeprefix("penstock_ingress_"): after[name] - before[name] for name in names}
    assert rise["jobs_accepted_total"] == 3
    assert rise["first_chunk_seconds_count"] == 2, "of streams: a whole answer has no first chunk"
    assert rise["overhead_seconds_count"] == 3
    assert rise["requests_total"] == 3
    assert rise["errors_total"] == 1
    assert rise["chunks_total"] >= 4


async def test_logs_are_events_with_fields_and_without_prompts(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http)
    request_id = response.headers["x-request-id"]

    async def of_request() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in stack.log("ingress").splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("request_id") == request_id]

    (line,) = await until(of_request, bool)  # written after the answer is sent
    assert (line["event"], line["route"], line["status"]) == ("request", "/v1/chat/completions", 200)
    assert QUESTION[0]["content"] not in stack.log("ingress")
    assert QUESTION[0]["content"] not in stack.log("worker")


async def test_probes_need_no_key(stack: Stack) -> None:
    async with httpx2.AsyncClient(base_url=stack.url, trust_env=False) as http:
        assert [(await http.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3


async def test_readiness_follows_what_requests_need(breakable: Stack) -> None:
    async with httpx2.AsyncClient(base_url=breakable.url, trust_env=False) as http:

        async def ready() -> int:
            return (await http.get("/readyz")).status_code

        assert await ready() == 200
        await breakable.kill("valkey")
        await until(ready, lambda status: status == 503, within_s=8)
        assert (await http.get("/healthz")).status_code == 200
        await breakable.start("valkey")
        await until(ready, lambda status: status == 200, within_s=8)


async def test_a_stream_that_was_pinged_claims_no_overhead(stack: Stack, tight_door: str, key: NewKey) -> None:
    thought = asyncio.Event()
    stack.upstream.script(Reply([thought, *upstream.answer("a").steps]))
    async with stack.client(key.secret, tight_door) as http, streaming(http) as stream:
        assert "x-penstock-overhead-ms" not in stream.response.headers
        thought.set()
        await stream.rest()
