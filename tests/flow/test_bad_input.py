"""Bad input gets its documented error, which says what to change; none of it reaches an engine, and none is a 500."""

import asyncio
import json
from typing import Any

import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import PATH, QUESTION, ask, body, error_of
from tests.raw_client import connected
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


def deep(levels: int) -> bytes:
    return b'{"model":"scripted","messages":' + b"[" * levels + b"]" * levels + b"}"


def with_content(content: bytes) -> bytes:
    return b'{"model":"scripted","messages":[{"role":"user","content":"' + content + b'"}]}'


RAW: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"hello",
    "cut off": b'{"model": "scripted", "messages": [',
    "two documents": b"{}{}",
    "a list": b"[]",
    "a number": b"17",
    "null": b"null",
    "NaN": b'{"model":"scripted","messages":[{"role":"user","content":"a"}],"temperature":NaN}',
    "infinite": b'{"model":"scripted","messages":[{"role":"user","content":"a"}],"temperature":1e999}',
    "a huge integer": b'{"model":"scripted","messages":[{"role":"user","content":"a"}],"seed":' + b"9" * 5_000 + b"}",
    "deep nesting": deep(100_000),
    "nesting below the parser's limit": deep(150),
    "invalid UTF-8": with_content(b"\xff\xfe\xfa"),
    "half of a surrogate pair": with_content(b"\\ud800"),
    "a byte order mark": b"\xef\xbb\xbf" + b"{}",
    "UTF-16": '{"model":"scripted"}'.encode("utf-16"),
    "a raw control character": with_content(b"\x00"),
    "zeros": b"\x00" * 1_000,
    "multipart": b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nscripted\r\n--x--\r\n',
}


@pytest.mark.parametrize("raw", RAW.values(), ids=RAW.keys())
async def test_what_is_no_request(stack: Stack, key: NewKey, raw: bytes) -> None:
    async with stack.client(key.secret) as http:
        response = await http.post(PATH, content=raw, headers={"content-type": "application/json"})
    assert error_of(response, 400)["type"] == "invalid_request_error"
    assert stack.upstream.asked == []


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": None}, "messages", "invalid_value"),
    ({"messages": "Hello"}, "messages", "invalid_value"),
    ({"messages": [{"role": "king", "content": "a"}]}, "messages[0].role", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_value"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_value"),
    ({"model": 5}, "model", "invalid_value"),
    ({"model": ""}, "model", "invalid_value"),
    ({"model": "no-such-model"}, "model", "model_not_found"),
    ({"temperature": "hot"}, "temperature", "invalid_value"),
    ({"temperature": 2.5}, "temperature", "invalid_value"),
    ({"temperature": True}, "temperature", "invalid_value"),
    ({"top_p": -1}, "top_p", "invalid_value"),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 129}, "n", "invalid_value"),
    ({"n": 1.5}, "n", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_tokens": 10**12}, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": -5}, "max_completion_tokens", "invalid_value"),
    ({"stop": ["a", "b", "c", "d", "e"]}, "stop", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_value"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"top_logprobs": 5}, "top_logprobs", "invalid_value"),
    ({"logit_bias": {"1": 900}}, "logit_bias", "invalid_value"),
    ({"frobnicate": 1}, "frobnicate", "unsupported_parameter"),
    ({"top_k": 5}, "top_k", "unsupported_parameter"),
    ({"messages": [{"role": "user", "content": "word " * 20_000}]}, "messages", "context_length_exceeded"),
]


@pytest.mark.parametrize(("fields", "param", "code"), WRONG, ids=[f"{w[1]} {number}" for number, w in enumerate(WRONG)])
async def test_a_request_outside_the_contract_is_refused_with_the_parameter_named(
    stack: Stack, key: NewKey, fields: dict[str, Any], param: str, code: str
) -> None:
    async with stack.client(key.secret) as http:
        answers = [await http.post(PATH, json={**body(), **fields}) for _ in range(2)]
    errors = [error_of(answer, 404 if code == "model_not_found" else 400) for answer in answers]
    assert (errors[0]["param"], errors[0]["code"]) == (param, code)
    assert errors[0] == errors[1], "the same way every time"
    assert stack.upstream.asked == []


async def test_what_is_needed_and_missing_is_named(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json={"messages": QUESTION}), 400)
        assert (error["param"], error["code"]) == ("model", "invalid_value")
        error = error_of(await http.post(PATH, json={"model": "scripted"}), 400)
        assert (error["param"], error["code"]) == ("messages", "invalid_value")


async def test_a_prompt_is_neither_in_an_error_nor_in_a_log(stack: Stack, key: NewKey) -> None:
    secret = "the-launch-code-is-0000"
    async with stack.client(key.secret) as http:
        for fields in ({"messages": [{"role": secret, "content": secret}]}, {"temperature": 9}, {"stop": [secret] * 9}):
            response = await http.post(
                PATH, json={**body(), "messages": [{"role": "user", "content": secret}], **fields}
            )
            assert response.status_code == 400
            assert secret not in response.text
        answer = await ask(http, messages_extra=secret)
        assert answer.status_code == 400
    for part in ("ingress", "worker"):
        assert secret not in stack.log(part)
        assert key.secret not in stack.log(part)


async def test_a_body_that_is_too_large_is_refused_at_a_stated_size(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, content=b"x" * (40 * 1024 * 1024)), 413)
    assert error["code"] == "request_too_large"
    assert str(32 * 1024 * 1024) in error["message"]


async def test_a_body_that_turns_out_too_large_is_refused_as_well(stack: Stack, key: NewKey) -> None:
    async def pieces() -> Any:
        for _ in range(40):
            yield b"x" * 1024 * 1024

    async with stack.client(key.secret) as http:
        assert error_of(await http.post(PATH, content=pieces()), 413)["code"] == "request_too_large"


async def test_ten_megabytes_that_the_model_has_no_room_for(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json={**body(), "messages": [{"role": "user", "content": "word " * 2_000_000}]})
    assert error_of(answer, 400)["code"] == "context_length_exceeded"


async def test_a_body_that_does_not_come_is_given_up_on(stack: Stack, tight_door: str, key: NewKey) -> None:
    async with connected(tight_door) as client:
        await client.begin(key.secret, length=500, sent=b'{"model":')
        answer = (await client.rest()).decode()
    head, _, content = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 408 ")
    assert json.loads(content)["error"]["code"] == "request_timeout"


async def test_clients_that_vanish_with_half_a_request_sent_leave_nothing(stack: Stack, key: NewKey) -> None:
    for _ in range(20):
        async with connected(stack.url) as client:
            await client.begin(key.secret, length=500, sent=b'{"model":')
    await stack.until_idle()


async def test_a_head_without_end_costs_no_memory(stack: Stack) -> None:
    async with connected(stack.url) as client:
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            await client.send(b"GET /healthz HTTP/1.1\r\n" + b"x-header: aaaaaaaaaaaaaaaaaaaa\r\n" * 500_000)
    async with connected(stack.url) as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nx-header: " + b"a" * 60_000 + b"\r\nconnection: close\r\n\r\n")
        assert b" 200 OK" in await client.rest()


@pytest.mark.parametrize("raw", [b"", b"GET /healthz HTTP/1.1\r\nx-he"], ids=["nothing", "half a head"])
async def test_a_head_that_does_not_come_is_not_waited_for(tight_door: str, raw: bytes) -> None:
    async with connected(tight_door) as client, asyncio.timeout(4):
        await client.send(raw)
        assert await client.rest() == b""


async def test_a_connection_that_has_asked_before_may_rest(tight_door: str) -> None:
    """A pool keeps it for longer than a head may take."""
    async with connected(tight_door) as client:
        for _ in range(2):
            await client.send(b"GET /healthz HTTP/1.1\r\n\r\n")
            assert b" 200 OK" in await client.until(b"\r\n\r\nok\n")
            await asyncio.sleep(1.3)


@pytest.mark.parametrize(
    "raw", [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"HELO mail\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"]
)
async def test_what_is_no_http_is_refused_and_the_process_goes_on(stack: Stack, key: NewKey, raw: bytes) -> None:
    async with connected(stack.url) as client:
        await client.send(raw)
        assert b" 400 " in await client.rest()
    async with stack.client(key.secret) as http:
        assert (await ask(http)).status_code == 200


async def test_bad_requests_among_good_ones_cost_the_good_ones_nothing(stack: Stack, key: NewKey) -> None:
    stack.upstream.otherwise = Reply([*upstream.answer("fine").steps])
    async with stack.client(key.secret) as http:
        bad = [http.post(PATH, content=raw) for raw in list(RAW.values()) * 2]
        good = [ask(http) for _ in range(20)]
        answers = await asyncio.gather(*bad, *good)
    assert [answer.status_code for answer in answers[len(bad) :]] == [200] * 20
    assert {answer.status_code for answer in answers[: len(bad)]} == {400}
    await stack.until_free(key.key.account)
