"""What an upstream's refusal means to Penstock: by HTTP status first, by the upstream's own code second."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import msgspec

from schemas.errors import (
    BY_CODE,
    BodyTooLarge,
    ContextLengthExceeded,
    EngineRejected,
    EngineUnavailable,
    InvalidRequest,
    PenstockError,
)
from workers.engine import EngineBusy

MAX_MESSAGE_CHARS: Final = 1000


class Refusal(msgspec.Struct, frozen=True):
    """An upstream's error as far as it could be read; `words` are its code and its type."""

    message: str = ""
    words: tuple[str, ...] = ()
    status: int | None = None
    param: str | None = None


# An error inside a stream has no status of its own: OpenAI, Anthropic-like and llama.cpp servers say a word instead,
# vLLM an integer. 2026-11.
_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    "context_length_exceeded": 400,
    "exceed_context_size_error": 400,
    "invalid_request_error": 400,
    "BadRequestError": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "NotFoundError": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}

NO_ROOM: Final = frozenset({429, 503, 529})
"""How a server says that it is there and has too much to do: vLLM with a bound on its queue, Ray Serve with one on its
requests, and providers."""

_CONTEXT_WORDS: Final = frozenset({"context_length_exceeded", "exceed_context_size_error"})

_CONTEXT_PARAM: Final = "input_tokens"
"""What vLLM calls the parameter that a prompt too long for its context is too high in (0.32, 2026-11)."""


def of_body(body: bytes) -> Refusal:
    """The refusal in a response's body, whatever that is: JSON of several dialects, HTML, nothing."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return Refusal()
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict) and value.get("error"):
        return of_error(value["error"])
    return of_error(value)


def of_error(error: Any) -> Refusal:
    """The refusal in the value of an `error` field."""
    if isinstance(error, str):
        return Refusal(message=error)
    if not isinstance(error, dict):
        return Refusal()
    code, kind, message, param = error.get("code"), error.get("type"), error.get("message"), error.get("param")
    return Refusal(
        message=message if isinstance(message, str) else "",
        words=tuple(word for word in (code, kind) if isinstance(word, str)),
        status=code if isinstance(code, int) and 400 <= code <= 599 else None,
        param=param if isinstance(param, str) else None,
    )


def status_of(refusal: Refusal) -> int:
    """The HTTP status that an error inside a stream would have had; 500 where it does not say."""
    if refusal.status is not None:
        return refusal.status
    for word in refusal.words:
        if word in _STATUS_OF_WORD:
            return _STATUS_OF_WORD[word]
        if word in BY_CODE:
            return BY_CODE[word].status
    return 500


def to_error(
    model: str, status: int, refusal: Refusal, *, secret: str | None, retry_after_s: float | None = None
) -> PenstockError:
    """The branch of the tree for this status.

    Only a refusal of the request itself is told in the upstream's words, without the secret; what the upstream said
    about the platform goes into a note, for the log.
    """
    said = _without(refusal.message, secret)
    if status in (400, 413, 422):
        message = said or f"The engine of model '{model}' refused the request ({status})."
        if refusal.param == _CONTEXT_PARAM:
            return ContextLengthExceeded(message)
        branch: type[InvalidRequest] = BodyTooLarge if status == 413 else InvalidRequest
        if _CONTEXT_WORDS.intersection(refusal.words):
            branch = ContextLengthExceeded
        return branch(message, param=refusal.param)
    error: PenstockError
    if "insufficient_quota" not in refusal.words and (status in (408, 425, 429) or status >= 500):
        unavailable = EngineBusy if status in NO_ROOM else EngineUnavailable
        error = unavailable(
            f"The engine of model '{model}' could not take the request ({status}).", retry_after_s=retry_after_s
        )
    else:
        error = EngineRejected(
            f"The engine of model '{model}' refused the platform itself ({status}); its operator has to look at it."
        )
    if said:
        error.add_note(f"upstream: {said}")
    return error


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `Retry-After` as seconds or as a date; None where it is unreadable."""
    if (ms := _seconds(headers.get("retry-after-ms"))) is not None:
        return ms / 1000
    value = headers.get("Retry-After", "")
    if (seconds := _seconds(value)) is not None:
        return seconds
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds())


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _without(message: str, secret: str | None) -> str:
    shown = message.replace(secret, "[secret]") if secret else message
    return shown if len(shown) <= MAX_MESSAGE_CHARS else shown[:MAX_MESSAGE_CHARS] + "…"
