"""What tells one request from another, and what is kept of an answer."""

import asyncio
from typing import Any

import httpx2
import pytest
from starlette.datastructures import Headers
from starlette.types import Message

from ingress import resent
from ingress.resent import Recorded, Replayed, fingerprint, read_ahead


def sent(request: httpx2.Request) -> str:
    """The fingerprint of a request as the official clients' library writes it."""
    scope = {"method": request.method, "path": request.url.path, "query_string": request.url.query}
    body: list[Message] = [{"type": "http.request", "body": request.read()}]
    return fingerprint(scope, Headers(dict(request.headers)), body)


def form(**fields: str) -> httpx2.Request:
    files = {name: (None, value) for name, value in fields.items()}
    return httpx2.Request("POST", "http://door/v1/videos", files=files)


def test_a_form_is_the_same_with_another_boundary() -> None:
    one, other = form(prompt="A dam"), form(prompt="A dam")
    assert one.headers["content-type"] != other.headers["content-type"]
    assert sent(one) == sent(other)
    assert sent(one) != sent(form(prompt="A gate"))
    assert sent(one) != sent(form(negative_prompt="A dam"))


@pytest.mark.parametrize(
    "other",
    [
        httpx2.Request("POST", "http://door/v1/videos", json={"a": 2}),
        httpx2.Request("POST", "http://door/v1/images/generations", json={"a": 1}),
        httpx2.Request("POST", "http://door/v1/videos?beta=1", json={"a": 1}),
        httpx2.Request("POST", "http://door/v1/videos", content=b'{"a":1}', headers={"content-type": "text/plain"}),
    ],
)
def test_body_path_query_and_type_tell_requests_apart(other: httpx2.Request) -> None:
    one = httpx2.Request("POST", "http://door/v1/videos", json={"a": 1})
    again = httpx2.Request("POST", "http://door/v1/videos", json={"a": 1}, headers={"authorization": "Bearer other"})
    assert sent(one) == sent(again)
    assert sent(one) != sent(other)


async def nowhere(_: Message) -> None:
    pass


def head(status: int, content_type: str) -> Message:
    headers = [(b"content-type", content_type.encode()), (b"x-request-id", b"req_1"), (b"location", b"/v1/videos/1")]
    return {"type": "http.response.start", "status": status, "headers": headers}


def piece(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def test_an_answer_is_recorded_without_what_tells_of_the_moment() -> None:
    recorded = Recorded(nowhere, on_stream=pytest.fail)
    for message in (head(202, "application/json"), piece(b"{", more=True), piece(b"}", more=False)):
        await recorded.send(message)
    assert (recorded.good, recorded.status, recorded.body) == (True, 202, b"{}")
    assert recorded.headers == (("content-type", "application/json"), ("location", "/v1/videos/1"))


@pytest.mark.parametrize(
    ("status", "good"), [(0, False), (200, True), (202, True), (304, False), (400, False), (503, False)]
)
async def test_only_what_was_done_is_kept(status: int, good: bool) -> None:
    recorded = Recorded(nowhere, on_stream=pytest.fail)
    if status:
        await recorded.send(head(status, "application/json"))
    assert recorded.good == good


async def test_a_stream_is_not_recorded_and_may_be_left() -> None:
    streams: list[bool] = []
    recorded = Recorded(nowhere, on_stream=lambda: streams.append(True))
    for message in (head(200, "text/event-stream; charset=utf-8"), piece(b"data: 1\n\n", more=False)):
        await recorded.send(message)
    assert (recorded.good, recorded.body, streams) == (True, None, [True])


async def test_what_broke_off_or_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Recorded(nowhere, on_stream=pytest.fail)
    for message in (head(200, "audio/mpeg"), piece(b"ID3", more=True)):
        await broken.send(message)
    assert broken.body is None
    monkeypatch.setattr(resent, "MOST_KEPT_BYTES", 3)
    large = Recorded(nowhere, on_stream=pytest.fail)
    for message in (head(200, "audio/mpeg"), piece(b"ID3", more=True), piece(b"x", more=False)):
        await large.send(message)
    assert large.body is None


async def test_a_body_is_read_ahead_up_to_a_size_and_given_again() -> None:
    messages: list[Message] = [{"type": "http.request", "body": b"ab", "more_body": True} for _ in range(3)]
    messages.append({"type": "http.request", "body": b"c", "more_body": False})
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    ahead = await read_ahead(receive, most_bytes=3, patience_s=1)
    assert len(ahead) == 2
    replayed = Replayed(ahead, receive)
    assert [await replayed.receive() for _ in range(4)] == messages


async def test_a_slow_body_is_the_routes_to_refuse() -> None:
    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    ahead = await read_ahead(receive, most_bytes=3, patience_s=0.01)
    assert ahead == [{"type": "http.request", "body": b"", "more_body": True}]


async def test_that_the_client_left_is_kept_back_until_there_is_a_stream() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    replayed = Replayed([], receive)
    leaving = asyncio.create_task(replayed.receive())
    await asyncio.sleep(0)
    assert not leaving.done()
    replayed.let_leave()
    assert await leaving == {"type": "http.disconnect"}
