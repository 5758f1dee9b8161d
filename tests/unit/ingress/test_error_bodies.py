import json
from pathlib import Path

import pytest

from ingress.errors import openai_error, openai_error_frame
from schemas.errors import (
    BY_CODE,
    Cancelled,
    EngineUnavailable,
    ErrorData,
    InvalidValue,
    ModelNotFound,
    Overloaded,
    PenstockError,
    RateLimited,
    StreamCut,
    Unauthenticated,
)

DOCUMENTED = Path(__file__).parents[3] / "docs" / "errors.md"


def test_the_body_is_what_openais_and_digitaloceans_clients_read() -> None:
    status, headers, body = openai_error(InvalidValue("Too hot.", param="temperature"), "req_1")
    assert status == 400
    assert headers == {"content-type": "application/json"}
    assert json.loads(body) == {
        "error": {
            "message": "Too hot.",
            "type": "invalid_request_error",
            "param": "temperature",
            "code": "invalid_value",
        },
        "id": "bad_request",
        "message": "Too hot.",
        "request_id": "req_1",
        "status_code": 400,
    }


@pytest.mark.parametrize(
    ("error", "status", "kind", "digitalocean_id"),
    [
        (Unauthenticated("x"), 401, "authentication_error", "unauthorized"),
        (ModelNotFound("x"), 404, "not_found_error", "not_found"),
        (RateLimited("x"), 429, "rate_limit_error", "too_many_requests"),
        (Overloaded("x"), 503, "overloaded_error", "service_unavailable"),
        (Cancelled("x"), 409, "conflict_error", "conflict"),
        (ErrorData("teapot", "x", 418), 418, "invalid_request_error", "bad_request"),
        (ErrorData("odd", "x", 599), 599, "server_error", "server_error"),
    ],
)
def test_a_status_has_its_names(error: PenstockError | ErrorData, status: int, kind: str, digitalocean_id: str) -> None:
    sent, _, raw = openai_error(error, "req_1")
    body = json.loads(raw)
    assert (sent, body["status_code"], body["error"]["type"], body["id"]) == (status, status, kind, digitalocean_id)


@pytest.mark.parametrize(
    ("error", "after", "after_ms", "again"),
    [
        (RateLimited("x", retry_after_s=7.2), "8", "7200", "true"),
        (RateLimited("x", retry_after_s=0.05), "1", "50", "true"),
        (RateLimited("x"), "1", "1000", "true"),
        (Overloaded("x", retry_after_s=3), "3", "3000", "true"),
        (EngineUnavailable("x"), "1", "1000", "true"),
        (StreamCut("x"), None, None, "false"),
        (Cancelled("x"), None, None, "false"),
        (InvalidValue("x"), None, None, None),
    ],
)
def test_the_headers_say_whether_and_when_to_try_again(
    error: PenstockError, after: str | None, after_ms: str | None, again: str | None
) -> None:
    _, headers, _ = openai_error(error, "req_1")
    assert (headers.get("retry-after"), headers.get("retry-after-ms"), headers.get("x-should-retry")) == (
        after,
        after_ms,
        again,
    )


def test_who_is_unknown_is_told_how_to_say_who_they_are() -> None:
    assert openai_error(Unauthenticated("x"), "req_1")[1]["www-authenticate"] == "Bearer"


def test_an_error_that_crossed_a_process_answers_the_same() -> None:
    error = RateLimited("x", param="model", retry_after_s=2)
    assert openai_error(error.data(), "req_1") == openai_error(error, "req_1")


def test_a_frame_is_one_event_with_all_four_fields() -> None:
    frame = openai_error_frame(StreamCut("It broke\noff.").data())
    assert frame.startswith(b"data: ")
    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n") == 2
    assert json.loads(frame[6:]) == {
        "error": {"message": "It broke\noff.", "type": "upstream_error", "param": None, "code": "stream_cut"}
    }


@pytest.mark.parametrize("code", sorted(BY_CODE))
def test_every_code_is_documented_with_the_status_and_type_it_is_sent_with(code: str) -> None:
    status, _, raw = openai_error(BY_CODE[code]("x"), "req_1")
    kind = json.loads(raw)["error"]["type"]
    rows = [line for line in DOCUMENTED.read_text().splitlines() if line.startswith(f"| `{code}` |")]
    assert len(rows) == 1
    assert rows[0].split("|")[2:4] == [f" {status} ", f" `{kind}` "]
