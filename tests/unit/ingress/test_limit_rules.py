"""What a caller is told of its account's limits."""

import time

import pytest

from ingress.limits import headers, refusal, scopes
from schemas.access import AccessKey, Limits
from storage.limits import Refused, Scope, Standing, Verdict

DEFAULTS = Limits(requests_per_min=600, tokens_per_min=60_000, in_flight=10)


def key(limits: Limits, **model_limits: Limits) -> AccessKey:
    return AccessKey("key_1", "acme", "test", None, (), 0, None, None, limits, model_limits)


def standing(requests_left: int = 5, tokens_left: int = 500, model: str | None = None, **limits: int) -> Standing:
    return Standing(Scope("acme", model, Limits(**limits)), requests_left, tokens_left)


def test_what_the_account_does_not_limit_has_the_defaults() -> None:
    (account,) = scopes(key(Limits(requests_per_min=60)), "one", DEFAULTS)
    assert account == Scope("acme", None, Limits(60, 60_000, 10))


def test_limits_on_a_model_come_on_top_and_have_no_defaults() -> None:
    on_one = Limits(tokens_per_min=1_000)
    asked = key(Limits(), one=on_one)
    assert scopes(asked, "one", DEFAULTS) == (Scope("acme", None, DEFAULTS), Scope("acme", "one", on_one))
    assert scopes(asked, "two", DEFAULTS) == (Scope("acme", None, DEFAULTS),)


def test_zero_is_a_limit_of_its_own_and_not_a_missing_one() -> None:
    (account,) = scopes(key(Limits(requests_per_min=0)), "one", DEFAULTS)
    assert account.limits.requests_per_min == 0


def test_a_grant_is_no_error() -> None:
    assert refusal(Verdict(None, (standing(requests_per_min=60),)), 10) is None


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        ("requests", "limited to 60 requests per minute"),
        ("tokens", "limited to 1000 tokens per minute; this request may take 700"),
        ("in_flight", "limited to 3 requests at once"),
    ],
)
def test_a_refusal_says_which_limit_and_when_to_come_again(refused: Refused, says: str) -> None:
    stands = standing(0, 500, requests_per_min=60, tokens_per_min=1_000, in_flight=3)
    error = refusal(Verdict(refused, (stands,), retry_after_ms=1_500), 700)
    assert error is not None
    assert (error.status, error.code, error.retry_after_s) == (429, "rate_limit_exceeded", 1.5)
    assert says in error.message
    assert "account 'acme'" in error.message


def test_a_limit_on_a_model_names_the_model() -> None:
    error = refusal(Verdict("requests", (standing(model="one", requests_per_min=60),), 10), 1)
    assert error is not None
    assert "on the model 'one'" in error.message


def test_a_request_that_no_minute_has_room_for_is_not_told_to_wait() -> None:
    error = refusal(Verdict("tokens", (standing(tokens_per_min=1_000),), None), 5_000)
    assert error is not None
    assert error.retry_after_s is None
    assert "Ask for fewer output tokens" in error.message


def test_headers_tell_the_tightest_of_several_limits() -> None:
    stands = (
        standing(50, 9_000, requests_per_min=60, tokens_per_min=10_000),
        standing(7, 0, "one", requests_per_min=8),
    )
    assert headers(stands) == {
        "x-ratelimit-limit-requests": "8",
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-reset-requests": "0",
        "x-ratelimit-limit-tokens-per-minute": "10000",
        "x-ratelimit-remaining-tokens-per-minute": "9000",
        "x-ratelimit-reset-tokens-per-minute": "0",
    }


def test_a_limit_that_is_used_up_tells_the_unix_time_at_which_there_is_room() -> None:
    told = headers((standing(0, requests_per_min=6),))
    assert told["x-ratelimit-remaining-requests"] == "0"
    # One request of six a minute takes ten seconds to come back.
    assert int(told["x-ratelimit-reset-requests"]) == pytest.approx(time.time() + 10, abs=2)


def test_what_is_overdrawn_is_told_as_nothing_left() -> None:
    told = headers((standing(1, -400, tokens_per_min=600),))
    assert told["x-ratelimit-remaining-tokens-per-minute"] == "0"
    # 401 tokens at ten a second.
    assert int(told["x-ratelimit-reset-tokens-per-minute"]) == pytest.approx(time.time() + 40.1, abs=2)


def test_no_limits_no_headers() -> None:
    assert headers((standing(),)) == {}


def test_who_is_limited_to_nothing_is_told_so_and_not_to_wait() -> None:
    nothing = standing(0, requests_per_min=0)
    error = refusal(Verdict("requests", (nothing,), None), 1)
    assert error is not None
    assert error.retry_after_s is None
    assert "limited to 0 requests per minute" in error.message
    assert headers((nothing,)) == {
        "x-ratelimit-limit-requests": "0",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "0",
    }
