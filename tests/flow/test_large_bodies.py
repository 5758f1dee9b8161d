"""Bodies over the broker's limit go by claim check: apache/openwhisk#1059."""

import asyncio
import time
from pathlib import Path

import httpx2
import pytest
from redis.asyncio import Redis

from schemas.topics import lane_topic
from storage.kafka import MESSAGE_LIMIT_BYTES
from storage.keys import NewKey
from tests.asking import PATH, ask
from tests.lane_log import found, headers_of, reading
from tests.stack import Stack, until
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def objects(stack: Stack) -> list[Path]:
    """What lies in object storage for jobs; stored responses lie beside it for good."""
    return [path for path in (stack.objects / "jobs").rglob("*") if path.is_file()]


def long_question(megabytes: int) -> list[dict[str, str]]:
    return [{"role": "user", "content": "word " * (megabytes * 200_000)}]


@pytest.mark.parametrize("megabytes", [1, 10])
async def test_a_long_question_is_answered_and_its_object_deleted(
    stack: Stack, key: NewKey, account: str, megabytes: int
) -> None:
    async with stack.client(key.secret) as http:
        response = await http.post(
            PATH, json={"model": "wide", "messages": long_question(megabytes), "max_tokens": 5, "user": account}
        )
    assert response.status_code == 200, response.text
    assert len(stack.upstream.asked[0].body["messages"][0]["content"]) == megabytes * 1_000_000
    (charge,) = await stack.charges(account, 1)
    await until(lambda: objects(stack), lambda left: not left)
    async with reading(stack.bootstrap, lane_topic("text.default")) as messages, asyncio.timeout(10):
        envelope = await found(messages, lambda message: headers_of(message).get("job_id") == charge.event.job_id)
    assert len(envelope.value) < min(2_000, MESSAGE_LIMIT_BYTES)


async def test_a_question_just_below_the_limit_needs_no_object(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        content = "x" * (MESSAGE_LIMIT_BYTES - 2_000)
        asking = asyncio.create_task(
            http.post(PATH, json={"model": "wide", "messages": [{"role": "user", "content": content}], "max_tokens": 5})
        )
        await stack.upstream.arrived(1)
        assert await objects(stack) == []
        assert (await asking).status_code == 200


async def test_the_object_of_a_client_that_leaves_is_deleted(stack: Stack, key: NewKey, account: str) -> None:
    stack.upstream.script(Reply([asyncio.Event()]))
    async with stack.client(key.secret) as http:
        asking = asyncio.create_task(
            http.post(PATH, json={"model": "wide", "messages": long_question(1), "max_tokens": 5})
        )
        await stack.upstream.arrived(1)
        assert len(await objects(stack)) == 1
        asking.cancel()
        await stack.charges(account, 1)
    await until(lambda: objects(stack), lambda left: not left)


async def test_the_object_of_a_job_that_no_worker_takes_is_swept(breakable: Stack, account: str) -> None:
    """Its ingress has died, so that nobody is left who knows of it but the list of what is due."""
    key = await breakable.create_key(account)
    await breakable.stop("worker")
    async with breakable.client(key.secret) as http:
        asking = asyncio.create_task(
            http.post(PATH, json={"model": "wide", "messages": long_question(1), "max_tokens": 5})
        )
        (left,) = await until(lambda: objects(breakable), bool)
        await breakable.kill("ingress")
        with pytest.raises(httpx2.TransportError):
            await asking
    member = str(left.relative_to(breakable.objects))
    async with Redis.from_url(breakable.redis_url) as redis:
        due_ms = await redis.zscore("penstock:objects", member)
        assert due_ms is not None
        deadline_s = breakable.catalog.find("wide").deadline_s
        assert deadline_s < due_ms / 1000 - time.time() < deadline_s + 120
        # The time until then has passed.
        await redis.zadd("penstock:objects", {member: 1})
    await breakable.start("ingress")
    await until(lambda: objects(breakable), lambda still: not still)


async def test_a_folder_that_takes_nothing_is_a_503(stack: Stack, key: NewKey) -> None:
    folder = stack.objects / "jobs" / key.key.account
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")
    try:
        async with stack.client(key.secret) as http:
            refused = await http.post(PATH, json={"model": "wide", "messages": long_question(1), "max_tokens": 5})
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "undecidable")
            assert "retry-after" in refused.headers
            assert (await ask(http)).status_code == 200
    finally:
        folder.unlink()
    await stack.until_free(key.key.account)
