"""Errors as Anthropic's own client reads them."""

import json
from datetime import UTC, datetime

import anthropic
import pytest

from ingress.translate.anthropic import anthropic_error, anthropic_headers
from schemas.errors import (
    BodyTooLarge,
    Cancelled,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineFailed,
    EngineRejected,
    EngineUnavailable,
    Forbidden,
    InternalError,
    InvalidValue,
    ModelNotFound,
    Overloaded,
    PenstockError,
    RateLimited,
    Unauthenticated,
    Undecidable,
    WorkerLost,
)
from tests.anthropic_client import ASKED, client


@pytest.mark.parametrize(
    ("error", "status", "kind", "raised"),
    [
        (InvalidValue("x"), 400, "invalid_request_error", anthropic.BadRequestError),
        (Unauthenticated("x"), 401, "authentication_error", anthropic.AuthenticationError),
        (Forbidden("x"), 403, "permission_error", anthropic.PermissionDeniedError),
        (ModelNotFound("x"), 404, "not_found_error", anthropic.NotFoundError),
        (BodyTooLarge("x"), 413, "request_too_large", anthropic.APIStatusError),
        (RateLimited("x"), 429, "rate_limit_error", anthropic.RateLimitError),
        (Cancelled("x"), 409, "invalid_request_error", anthropic.ConflictError),
        (InternalError("x"), 500, "api_error", anthropic.InternalServerError),
        (EngineFailed("x"), 502, "api_error", anthropic.InternalServerError),
        (EngineRejected("x"), 502, "api_error", anthropic.InternalServerError),
        (DeadlineExceeded("x"), 504, "timeout_error", anthropic.APIStatusError),
        (EngineUnavailable("x"), 529, "overloaded_error", anthropic.APIStatusError),
        (Overloaded("x"), 529, "overloaded_error", anthropic.APIStatusError),
        (Undecidable("x"), 529, "overloaded_error", anthropic.APIStatusError),
        (WorkerLost("x"), 529, "overloaded_error", anthropic.APIStatusError),
    ],
)
async def test_the_client_raises_what_it_would_for_anthropic(
    error: PenstockError, status: int, kind: str, raised: type[anthropic.APIStatusError]
) -> None:
    answered, headers, body = anthropic_error(error, "req_1")
    async with client(body, "application/json", answered, anthropic_headers(headers, "req_1")) as sdk:
        with pytest.raises(raised) as caught:
            await sdk.messages.create(**ASKED)
    assert caught.value.status_code == status
    assert caught.value.body == {"type": "error", "error": {"type": kind, "message": "x"}, "request_id": "req_1"}
    assert caught.value.request_id == "req_1"


@pytest.mark.parametrize(
    ("error", "retry_after", "should_retry"),
    [
        (Overloaded("x", retry_after_s=2.5), "3", "true"),
        (EngineUnavailable("x"), "1", "true"),
        (WorkerLost("x"), None, "false"),
        (EngineFailed("x"), None, "false"),
        (ModelNotFound("x"), None, None),
    ],
)
def test_whether_and_when_to_try_again(error: PenstockError, retry_after: str | None, should_retry: str | None) -> None:
    _, headers, _ = anthropic_error(error, "req_1")
    assert (headers.get("retry-after"), headers.get("x-should-retry")) == (retry_after, should_retry)


def test_limits_stand_in_anthropics_headers_too() -> None:
    own = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1764000000",
        "x-ratelimit-limit-tokens-per-minute": "1000",
        "x-ratelimit-remaining-tokens-per-minute": "900",
        "x-ratelimit-reset-tokens-per-minute": "0",
    }
    headers = anthropic_headers(own, "req_1")
    assert own.items() <= headers.items()
    assert headers["anthropic-ratelimit-requests-limit"] == "60"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"] == "2025-11-24T16:00:00Z"
    assert headers["anthropic-ratelimit-tokens-remaining"] == "900"
    assert datetime.fromisoformat(headers["anthropic-ratelimit-tokens-reset"]) <= datetime.now(UTC)


def test_without_limits_there_is_only_the_requests_id() -> None:
    assert anthropic_headers({}, "req_1") == {"request-id": "req_1"}


def test_the_message_is_the_errors_own() -> None:
    _, _, body = anthropic_error(EngineFailed("prompt is too long: 210000 tokens > 200000 maximum"), "req_1")
    assert json.loads(body)["error"]["message"] == "prompt is too long: 210000 tokens > 200000 maximum"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("The context is 2048 tokens.", "prompt is too long: The context is 2048 tokens."),
        ("prompt is too long: 9 tokens > 8 maximum", "prompt is too long: 9 tokens > 8 maximum"),
        (
            "input length and `max_tokens` exceed context limit: 5 + 5 > 8, decrease input length or `max_tokens`",
            "input length and `max_tokens` exceed context limit: 5 + 5 > 8, decrease input length or `max_tokens`",
        ),
    ],
)
def test_a_prompt_too_long_is_called_what_clients_look_for(message: str, told: str) -> None:
    _, _, body = anthropic_error(ContextLengthExceeded(message), "req_1")
    assert json.loads(body)["error"] == {"type": "invalid_request_error", "message": told}
