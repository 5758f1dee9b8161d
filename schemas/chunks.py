"""The canonical stream: what comes out of an engine and travels to the ingress that waits for it."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from schemas.errors import ErrorData
from schemas.media_chunks import Audio, Picture, Vectors
from schemas.usage import End, Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


class TextDelta(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """A piece of one choice's text; `logprobs` is OpenAI's list of token objects for just this piece."""

    text: str
    choice: int = 0
    logprobs: list[dict[str, Any]] | None = None


class RefusalDelta(msgspec.Struct, frozen=True, array_like=True, tag="n"):
    """A piece of what the model says in place of an answer it declines to give."""

    text: str
    choice: int = 0


class ReasoningDelta(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A piece of the thinking before, or between, what is said."""

    text: str
    choice: int = 0


class Signature(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """Ends the reasoning before it with its provider's signature, by which that provider knows it again."""

    signature: str
    choice: int = 0


class RedactedReasoning(msgspec.Struct, frozen=True, array_like=True, tag="x"):
    """A whole block of reasoning that only its provider can read."""

    data: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """A piece of the tool call number `index` of its choice; the first piece carries `id` and `name`.

    `arguments` is a piece of JSON text, which may come out half-formed: it is the model's own. `extras` are fields of
    the whole call that only the provider's own dialect knows.
    """

    index: int
    arguments: str = ""
    id: str | None = None
    name: str | None = None
    choice: int = 0
    extras: dict[str, Any] | None = None


class OpaquePiece(msgspec.Struct, frozen=True, array_like=True, tag="o"):
    """Output that only one dialect has words for: a part of its own, or (not `whole`) an addition to the one before.

    A door of that dialect writes it as it came; the others leave it out.
    """

    dialect: str
    body: dict[str, Any]
    whole: bool = True
    choice: int = 0


class Finish(msgspec.Struct, frozen=True, array_like=True, tag="f"):
    """One choice is complete; `stop_sequence` is the one that was hit, where the engine tells.

    `native` is the provider's own word for the reason where it says more than `reason` does. `details` and
    `usage_details` are what else it tells beside its reason and in its usage, under its own names and counted in
    nothing here: only a door of its own dialect passes them on.
    """

    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None
    native: str | None = None
    details: dict[str, Any] | None = None
    usage_details: dict[str, Any] | None = None


class UsageReport(msgspec.Struct, frozen=True, array_like=True, tag="u"):
    """The engine's count so far; cumulative, so the last one stands."""

    usage: Usage


class AnsweredBy(msgspec.Struct, frozen=True, array_like=True, tag="m"):
    """Stands before all else where another model than the one that was asked gives the answer; made by the worker."""

    model: str


class Ended(msgspec.Struct, frozen=True, array_like=True, tag="e"):
    """The last chunk of every job, made by the worker and by nobody else.

    `counted_tokens` is what a job that only measures a prompt has to tell; it uses nothing.
    """

    end: End
    usage: Usage
    error: ErrorData | None = None
    counted_tokens: int | None = None


OutputDelta = TextDelta | RefusalDelta | ReasoningDelta | Signature | RedactedReasoning | ToolCallDelta | OpaquePiece
MediaDelta = Vectors | Picture | Audio
Delta = OutputDelta | MediaDelta | Finish | UsageReport
Chunk = Delta | AnsweredBy | Ended


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
