"""Around every request: what the platform fails at is an answer as well, with an id that leads to the reason."""

import json
import logging
from typing import Any

import httpx2
import pytest
from starlette.types import Receive, Scope, Send

from ingress.metrics import IN_FLIGHT
from ingress.observed import Observed


async def fails(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("a bug")


async def fails_in_the_middle(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise LookupError("a bug")


async def hides_its_id(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"mine")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def get(app: Any, path: str = "/") -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://door") as http:
        return await http.get(path)


async def test_a_bug_is_a_500_whose_id_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    before = IN_FLIGHT._value.get()
    with caplog.at_level(logging.INFO):
        response = await get(Observed(fails))
    assert response.status_code == 500
    told = json.loads(response.content)
    assert told["error"]["code"] == "internal_error"
    assert "a bug" not in response.text
    failed = [record for record in caplog.records if record.message == "request_failed"]
    assert [record.__dict__["request_id"] for record in failed] == [told["request_id"]]
    assert response.headers["x-request-id"] == told["request_id"]
    assert IN_FLIGHT._value.get() == before


async def test_a_bug_after_the_answer_began_is_not_answered_twice(caplog: pytest.LogCaptureFixture) -> None:
    sent = []

    async def send(message: Any) -> None:
        sent.append(message["type"])

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    with caplog.at_level(logging.ERROR):
        await Observed(fails_in_the_middle)(scope, None, send)  # type: ignore[arg-type]
    assert sent == ["http.response.start"]
    assert [record.message for record in caplog.records] == ["request_failed"]


async def test_an_id_that_is_there_stays() -> None:
    assert (await get(Observed(hides_its_id))).headers.get_list("x-request-id") == ["mine"]


async def test_probes_are_not_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ingress.access"):
        await get(Observed(hides_its_id), "/healthz")
        assert caplog.records == []
        await get(Observed(hides_its_id), "/v1/models")
        assert [record.message for record in caplog.records] == ["request"]
