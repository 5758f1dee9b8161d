"""What a key's account may still ask for, and the headers that say so."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Final

from schemas.access import AccessKey, Limits
from schemas.errors import RateLimited
from storage.limits import Refused, Scope, Standing, Verdict

NO_WAIT: Final[Mapping[Refused, str]] = {
    "requests": "No request of this account is let through.",
    "in_flight": "No request of this account is let through.",
    "tokens": "Ask for fewer output tokens, or send less.",
}
"""What helps where waiting does not."""


class LimitReached(RateLimited):
    """A limit's refusal, with the headers that tell how the limit stands."""

    def __init__(self, message: str, headers: dict[str, str], retry_after_s: float | None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.headers = headers


class LimitTooSmall(LimitReached):
    """More is asked for than the limit ever allows, so that waiting does not help."""

    retryable = False


def scopes(key: AccessKey, model_id: str, defaults: Limits) -> tuple[Scope, ...]:
    """The account's own limits, and those it has on this model."""
    account = Scope(key.account, None, _or_default(key.limits, defaults))
    on_model = key.model_limits.get(model_id)
    return (account,) if on_model is None else (account, Scope(key.account, model_id, on_model))


def refusal(verdict: Verdict, tokens: int) -> LimitReached | None:
    """The error a refused request answers with; None for a grant."""
    if verdict.refused is None:
        return None
    scope = verdict.standings[0].scope
    whose = f"account '{scope.account}'" + (f" on the model '{scope.model}'" if scope.model else "")
    match verdict.refused:
        case "requests":
            what = f"{scope.limits.requests_per_min} requests per minute"
        case "in_flight":
            what = f"{scope.limits.in_flight} requests at once"
        case "tokens":
            what = f"{scope.limits.tokens_per_min} tokens per minute; this request may take {tokens}"
    limit = f"The {whose} is limited to {what}."
    if verdict.retry_after_ms is None:
        return LimitTooSmall(f"{limit} Ask for fewer output tokens, or send less.", headers(verdict.standings), None)
    return LimitReached(f"{limit} Wait and try again.", headers(verdict.standings), verdict.retry_after_ms / 1000)


def headers(standings: Sequence[Standing]) -> dict[str, str]:
    """The tightest standing of each kind; `reset` is 0 while there is room, else the Unix time when there will be."""
    requests = [(s.requests_left, cap) for s in standings if (cap := s.scope.limits.requests_per_min) is not None]
    tokens = [(s.tokens_left, cap) for s in standings if (cap := s.scope.limits.tokens_per_min) is not None]
    return _quota("requests", requests) | _quota("tokens-per-minute", tokens)


def _quota(name: str, left_of: Sequence[tuple[int, int]]) -> dict[str, str]:
    if not left_of:
        return {}
    left, cap = min(left_of)
    return {
        f"x-ratelimit-limit-{name}": str(cap),
        f"x-ratelimit-remaining-{name}": str(max(0, left)),
        f"x-ratelimit-reset-{name}": "0"
        if left > 0 or not cap
        else str(math.ceil(time.time() + (1 - left) * 60 / cap)),
    }


def _or_default(limits: Limits, defaults: Limits) -> Limits:
    return Limits(
        requests_per_min=defaults.requests_per_min if limits.requests_per_min is None else limits.requests_per_min,
        tokens_per_min=defaults.tokens_per_min if limits.tokens_per_min is None else limits.tokens_per_min,
        in_flight=defaults.in_flight if limits.in_flight is None else limits.in_flight,
    )
