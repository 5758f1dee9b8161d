"""The canonical stream: what comes out of an engine and travels to the ingress that waits for it."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from schemas.errors import ErrorData
from schemas.usage import End, Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class TextDelta(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """A piece of one choice's text; `logprobs` is OpenAI's list of token objects for just this piece."""

    text: str
    choice: int = 0
    logprobs: list[dict[str, Any]] | None = None


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """One choice is complete."""

    reason: FinishReason
    choice: int = 0


class UsageReport(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """The engine's count so far; cumulative, so the last one stands."""

    usage: Usage


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """The last chunk of every job, made by the worker and by nobody else."""

    end: End
    usage: Usage
    error: ErrorData | None = None


Delta = TextDelta | Finish | UsageReport
Chunk = TextDelta | Finish | UsageReport | Ended


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Chunks of one job that were ready together.

    `seq` counts the frames of an attempt from 0 without a gap. `engine_ms` is the time the engine itself has
    taken so far; what is left of the client's wait is the platform's own.
    """

    job_id: str
    attempt: int
    seq: int
    chunks: Sequence[Chunk]
    engine_ms: float = 0.0
