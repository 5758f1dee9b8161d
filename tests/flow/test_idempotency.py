"""Idempotency-Key: whatever is sent twice is done once."""

import asyncio
import secrets
from typing import Any

import httpx2
import openai
import pytest
import pytest_asyncio

from storage.keys import NewKey
from tests import upstream
from tests.asking import error_of
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = {"model": "scripted", "messages": [{"role": "user", "content": "Hello?"}]}
PATH = "/v1/chat/completions"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def impatient(session_stack: Stack) -> str:
    """The address of an ingress that lets nobody wait for an earlier answer."""
    return await session_stack.start_door("ingress-impatient", PENSTOCK_IDEMPOTENCY_WAIT_S="0")


def held(*events: asyncio.Event) -> upstream.Reply:
    """A reply that goes on when the test says so."""
    return upstream.Reply([upstream.opening(), *events, upstream.text("One"), upstream.finish(), upstream.DONE])


def named(key: str | None = None) -> dict[str, str]:
    return {"idempotency-key": key or secrets.token_hex(8)}


async def test_a_request_sent_again_is_answered_as_before(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("One"), upstream.answer("Two"))
    name = named()
    async with stack.client(key.secret) as http:
        first = await http.post(PATH, json=CHAT, headers=name)
        again = await http.post(PATH, json=CHAT, headers=name)
        other = await http.post(PATH, json=CHAT, headers=named())
    assert (first.status_code, first.json()["choices"][0]["message"]["content"]) == (200, "One")
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert ("idempotent-replayed" in first.headers, again.headers["idempotent-replayed"]) == (False, "true")
    assert other.json()["choices"][0]["message"]["content"] == "Two"
    assert len(stack.upstream.asked) == 2
    assert len(await stack.charges(key.key.account, 2)) == 2


async def test_concurrent_twins_are_one_request(stack: Stack, key: NewKey) -> None:
    go = asyncio.Event()
    stack.upstream.script(held(go))
    name = named()
    async with stack.client(key.secret) as http:
        twins = [asyncio.create_task(http.post(PATH, json=CHAT, headers=name)) for _ in range(8)]
        await stack.upstream.arrived(1)
        go.set()
        answers = await asyncio.gather(*twins)
    assert {(answer.status_code, answer.content) for answer in answers} == {(200, answers[0].content)}
    assert sorted("idempotent-replayed" in answer.headers for answer in answers) == [False] + [True] * 7
    assert len(stack.upstream.asked) == 1


async def test_twins_at_two_ingresses_are_one_request(stack: Stack, key: NewKey, tight_door: str) -> None:
    go = asyncio.Event()
    stack.upstream.script(held(go))
    name = named()
    async with stack.client(key.secret) as one, stack.client(key.secret, tight_door) as other:
        first = asyncio.create_task(one.post(PATH, json=CHAT, headers=name))
        await stack.upstream.arrived(1)
        second = asyncio.create_task(other.post(PATH, json=CHAT, headers=name))
        go.set()
        answers = await asyncio.gather(first, second)
    assert answers[0].content == answers[1].content
    assert len(stack.upstream.asked) == 1


async def test_a_key_with_another_body_is_refused(stack: Stack, key: NewKey) -> None:
    name = named()
    async with stack.client(key.secret) as http:
        await http.post(PATH, json=CHAT, headers=name)
        error = error_of(await http.post(PATH, json={**CHAT, "seed": 1}, headers=name), 422)
        elsewhere = await http.post("/v1/completions", json={"model": "scripted", "prompt": "Hello?"}, headers=name)
    assert error["code"] == "idempotency_key_reused"
    assert error_of(elsewhere, 422)["code"] == "idempotency_key_reused"


async def test_a_key_is_its_accounts_own(stack: Stack, key: NewKey) -> None:
    name, other = named(), await stack.create_key(f"{key.key.account}-other")
    async with stack.client(key.secret) as one, stack.client(other.secret) as another:
        first = await one.post(PATH, json=CHAT, headers=name)
        second = await another.post(PATH, json=CHAT, headers=name)
    assert first.status_code == second.status_code == 200
    assert first.json()["id"] != second.json()["id"]


async def test_an_answer_is_not_for_an_access_key_that_might_not_have_got_it(stack: Stack, key: NewKey) -> None:
    name = named()
    narrow = await stack.create_key(key.key.account, models=("brief",))
    rotated = await stack.create_key(key.key.account)
    async with stack.client(key.secret) as http:
        first = await http.post(PATH, json=CHAT, headers=name)
    async with stack.client(narrow.secret) as http:
        assert error_of(await http.post(PATH, json=CHAT, headers=name), 422)["code"] == "idempotency_key_reused"
        assert error_of(await http.post(PATH, json=CHAT, headers=named()), 403)["code"] == "permission_denied"
    async with stack.client(rotated.secret) as http:
        assert (await http.post(PATH, json=CHAT, headers=name)).content == first.content


async def test_what_failed_is_done_again(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.refusal(400, {"message": "no"}), upstream.answer("Two"))
    name = named()
    async with stack.client(key.secret) as http:
        refused = await http.post(PATH, json=CHAT, headers=name)
        again = await http.post(PATH, json=CHAT, headers=name)
    assert (refused.status_code, again.status_code) == (400, 200)


async def test_whoever_left_finds_the_answer(stack: Stack, key: NewKey) -> None:
    go = asyncio.Event()
    stack.upstream.script(held(go))
    name = named()
    async with stack.client(key.secret, timeout_s=1) as hasty:
        with pytest.raises(httpx2.TimeoutException):
            await hasty.post(PATH, json=CHAT, headers=name)
    go.set()
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json=CHAT, headers=name)
    assert answer.json()["choices"][0]["message"]["content"] == "One"
    assert answer.headers["idempotent-replayed"] == "true"
    assert len(stack.upstream.asked) == 1


async def test_a_request_under_way_for_long_is_a_conflict(stack: Stack, key: NewKey, impatient: str) -> None:
    go = asyncio.Event()
    stack.upstream.script(held(go))
    name = named()
    async with stack.client(key.secret) as one, stack.client(key.secret, impatient) as other:
        first = asyncio.create_task(one.post(PATH, json=CHAT, headers=name))
        await stack.upstream.arrived(1)
        answer = await other.post(PATH, json=CHAT, headers=name)
        go.set()
        await first
    assert error_of(answer, 409)["code"] == "idempotency_key_in_use"
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["x-should-retry"] == "true"


async def test_a_stream_is_not_done_twice(stack: Stack, key: NewKey) -> None:
    name, asked = named(), {**CHAT, "stream": True}
    async with stack.client(key.secret) as http:
        first = await http.post(PATH, json=asked, headers=name)
        again = await http.post(PATH, json=asked, headers=name)
    assert first.text.rstrip().endswith("data: [DONE]")
    assert error_of(again, 409)["code"] == "answer_not_kept"
    assert again.headers["x-should-retry"] == "false"
    assert len(stack.upstream.asked) == 1


async def test_large_answers_are_kept_too(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(upstream.answer("word " * 40_000))
    name = named()
    async with stack.client(key.secret) as http:
        first = await http.post(PATH, json=CHAT, headers=name)
        again = await http.post(PATH, json=CHAT, headers=name)
    assert len(first.content) > 200_000
    assert again.content == first.content


@pytest.mark.parametrize("bad", ["", "x" * 256])
async def test_a_key_has_some_characters(stack: Stack, key: NewKey, bad: str) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json=CHAT, headers={"idempotency-key": bad}), 400)
    assert (error["code"], error["param"]) == ("invalid_value", "Idempotency-Key")


async def test_messages_has_errors_of_its_own(stack: Stack, key: NewKey) -> None:
    name = named()
    asked: dict[str, Any] = {"model": "scripted", "max_tokens": 16, "messages": CHAT["messages"]}
    async with stack.client(key.secret) as http:
        first = await http.post("/v1/messages", json=asked, headers=name)
        refused = await http.post("/v1/messages", json={**asked, "max_tokens": 17}, headers=name)
    assert first.status_code == 200
    assert (refused.status_code, refused.json()["type"]) == (422, "error")
    assert refused.json()["error"]["type"] == "invalid_request_error"


async def test_an_sdk_retries_safely(stack: Stack, key: NewKey) -> None:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret) as client:
        answers = [
            await client.chat.completions.create(
                model="scripted", messages=[{"role": "user", "content": "Hello?"}], extra_headers=named("once")
            )
            for _ in range(2)
        ]
    assert answers[0].id == answers[1].id


async def test_an_ingress_that_dies_keeps_a_key_for_a_lease(breakable: Stack, account: str) -> None:
    key, name = await breakable.create_key(account), named()
    go = asyncio.Event()
    breakable.upstream.script(held(go), upstream.answer("Two"))
    async with breakable.client(key.secret) as http:
        first = asyncio.create_task(http.post(PATH, json=CHAT, headers=name))
        await breakable.upstream.arrived(1)
        await breakable.kill("ingress")
        with pytest.raises(httpx2.TransportError):
            await first
        await breakable.start("ingress")
        async with breakable.client(key.secret) as later:
            answer = await later.post(PATH, json=CHAT, headers=name)
        go.set()
    assert answer.json()["choices"][0]["message"]["content"] == "Two"
