"""Upstream refusals; the bodies are those that the servers named beside them send."""

import json
from datetime import UTC, datetime

import pytest

from schemas.errors import (
    BodyTooLarge,
    ContextLengthExceeded,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
)
from workers.engine import EngineBusy
from workers.engines import openai_errors

NOW = datetime(2015, 10, 21, 7, 27, 30, tzinfo=UTC)


def translated(status: int, body: object, secret: str | None = None) -> PenstockError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return openai_errors.to_error("m", status, openai_errors.of_body(raw), secret=secret)


@pytest.mark.parametrize(
    ("status", "branch"),
    [
        (400, InvalidRequest),
        (422, InvalidRequest),
        (413, BodyTooLarge),
        (401, EngineRejected),
        (402, EngineRejected),
        (403, EngineRejected),
        (404, EngineRejected),
        (405, EngineRejected),
        (307, EngineRejected),
        (408, EngineUnavailable),
        (429, EngineBusy),
        (500, EngineUnavailable),
        (502, EngineUnavailable),
        (503, EngineBusy),
        (529, EngineBusy),
    ],
)
def test_the_status_decides(status: int, branch: type[PenstockError]) -> None:
    assert type(translated(status, b"<html>whatever</html>")) is branch


@pytest.mark.parametrize(
    "error",
    [
        {
            "message": "too long",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
        {"code": 400, "message": "too long", "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8},
        {"message": "too long", "type": "BadRequestError", "param": "input_tokens", "code": 400},
    ],
    ids=["OpenAI", "llama.cpp", "vLLM"],
)
def test_a_prompt_that_is_too_long(error: object) -> None:
    assert type(translated(400, {"error": error})) is ContextLengthExceeded


def test_a_quota_that_is_used_up_is_not_worth_a_retry() -> None:
    error = {"message": "You exceeded your current quota", "type": "insufficient_quota", "code": "insufficient_quota"}
    assert type(translated(429, {"error": error})) is EngineRejected


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "bad stop", "type": "BadRequestError", "param": "stop", "code": 400}},
        [{"error": {"message": "bad stop", "code": 400, "param": "stop", "status": "INVALID_ARGUMENT"}}],
        {"object": "error", "message": "bad stop", "type": "BadRequestError", "param": "stop", "code": 400},
    ],
    ids=["vLLM", "Gemini", "old vLLM"],
)
def test_a_refusal_of_the_request_is_told_in_the_upstreams_words(body: object) -> None:
    error = translated(400, body)
    assert (error.message, error.param) == ("bad stop", "stop")


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"7", b'{"error": null}', b"<html>", b'{"error": {"message": 7}}']
)
def test_a_refusal_without_words_still_has_a_message(body: bytes) -> None:
    assert "'m'" in translated(400, body).message


def test_no_secret_is_repeated() -> None:
    body = {"error": {"message": "Incorrect API key provided: sk-live-1"}}
    rejected, invalid = translated(401, body, "sk-live-1"), translated(400, body, "sk-live-1")
    assert "sk-live-1" not in f"{rejected.message}{rejected.__notes__}{invalid.message}"


def test_what_the_upstream_thinks_of_the_platform_is_for_the_log_only() -> None:
    error = translated(403, {"error": {"message": "org-77 has no access"}})
    assert "org-77" not in error.message
    assert "org-77" in error.__notes__[0]


def test_a_message_is_bounded() -> None:
    assert len(translated(400, {"error": {"message": "x" * 100_000}}).message) < 2_000


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 2015 07:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
        ({"Retry-After": "-5"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert openai_errors.retry_after_s(headers, NOW) == seconds
