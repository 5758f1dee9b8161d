"""What fal says when it refuses, or when an application failed (docs.fal.ai, errors, 2026-11)."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.errors import EngineFailed, PenstockError
from workers.engines.openai_errors import MAX_MESSAGE_CHARS, Refusal

ERROR_TYPE: Final = "X-Fal-Error-Type"


def of_body(body: bytes) -> Refusal:
    """`{"detail": …}`, which is a text, or a list of what is wrong with which argument."""
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return Refusal()
    detail = value.get("detail") if isinstance(value, dict) else None
    if isinstance(detail, list):
        faults = [fault for fault in detail if isinstance(fault, dict)]
        param = _place(faults[0].get("loc")) if faults else None
        return Refusal("; ".join(_told(fault) for fault in faults), param=param)
    return Refusal(detail if isinstance(detail, str) else "")


def of_failure(model: str, error: Any, secret: str | None) -> PenstockError:
    """The error of a job that is COMPLETED with one."""
    said = error if isinstance(error, str) else ""
    shown = said.replace(secret, "[secret]") if secret else said
    return EngineFailed(shown[:MAX_MESSAGE_CHARS] or f"The engine of model '{model}' failed and did not say why.")


def is_failure(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether this answer, in a result's place, is fal's word that the application broke.

    fal has tried again by itself what can be; a queue that is down just now says nothing of the kind.
    """
    if status < 500:
        return False
    try:
        value = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    told = value if isinstance(value, dict) else {}
    return ERROR_TYPE in headers or "error_type" in told or (status == 500 and "detail" in told)


def _told(fault: dict[str, Any]) -> str:
    place, said = _place(fault.get("loc")), fault.get("msg")
    words = said if isinstance(said, str) else "is wrong"
    return f"{place}: {words}" if place else words


def _place(steps: Any) -> str | None:
    """`["body", "image_size"]` as the caller of this platform wrote it: within `input`."""
    if not isinstance(steps, list) or not steps:
        return None
    inner = [str(step) for step in steps if step != "body"]
    return ".".join(["input", *inner])
