"""A chat completions event stream as an incremental fold from bytes to deltas."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.chunks import Delta, Finish, FinishReason, TextDelta, UsageReport
from schemas.errors import EngineFailed, PenstockError, StreamCut
from schemas.usage import Usage
from workers.engines import openai_errors
from workers.engines.sse import EventData


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    refusal: str | None = None


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """OpenAI's usage object; `prompt_tokens` includes what was cached."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None

    def canonical(self) -> Usage:
        inputs, outputs = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            self.prompt_tokens or 0,
            self.completion_tokens or 0,
            (inputs.cached_tokens or 0) if inputs else 0,
            (outputs.reasoning_tokens or 0) if outputs else 0,
        )


class _Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    error: Any = None


_CHUNK: Final = msgspec.json.Decoder(_Chunk)

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "repetition": "length",
}
"""OpenAI's four, and other words for them: OpenAI before 2024, Mistral (`model_length`), vLLM (`repetition`).

A reason that is not here, and not a CUT_REASON, is a provider's own word for being done: stop.
"""

CUT_REASONS: Final = frozenset({"abort", "error", "cancelled", "insufficient_system_resource"})
"""vLLM's `abort` and `error`, DeepSeek's `insufficient_system_resource`: the output is not whole."""


class ChatStream:
    """Folds one response; `finished` once every choice has its Finish, `done` once nothing more will come.

    What went wrong stands in `failure` and is to be raised after the deltas that came before it have been passed on.
    """

    __slots__ = ("_choices", "_ended", "_events", "_model", "_secret", "done", "failure", "heard")

    def __init__(self, model: str, choices: int, secret: str | None = None) -> None:
        self._model = model
        self._choices = choices
        self._secret = secret
        self._events = EventData()
        self._ended: set[int] = set()
        self.heard = False
        self.done = False
        self.failure: PenstockError | None = None

    @property
    def finished(self) -> bool:
        return len(self._ended) >= self._choices

    def feed(self, data: bytes) -> list[Delta]:
        """All deltas of the events that these bytes complete."""
        try:
            events = self._events.feed(data)
        except EngineFailed as exc:
            self.failure = exc
            return []
        return self._fold(events) if events else []

    def end(self) -> list[Delta]:
        """The same for the end of the bytes, after which the stream is done or has a failure."""
        deltas = self._fold(self._events.end())
        if type(self.failure) is EngineFailed:
            # Half a chunk is what a stream that was cut ends with.
            self.failure = None
        self._stop()
        return deltas

    def cut(self, how: str) -> StreamCut:
        return StreamCut(f"The engine of model '{self._model}' {how} before it had finished.")

    def _stop(self) -> None:
        self.done = True
        if self.failure is None and not self.finished:
            self.failure = self.cut("ended its stream")

    def _fold(self, events: list[bytes]) -> list[Delta]:
        deltas: list[Delta] = []
        usage: WireUsage | None = None
        self.heard = True
        for event in events:
            if event == b"[DONE]":
                self._stop()
                break
            try:
                chunk = _CHUNK.decode(event)
            except msgspec.DecodeError as exc:
                self.failure = EngineFailed(f"The engine of model '{self._model}' sent what is no chat chunk.")
                self.failure.__cause__ = exc
                break
            if chunk.error:
                refusal = openai_errors.of_error(chunk.error)
                status = openai_errors.status_of(refusal)
                self.failure = openai_errors.to_error(self._model, status, refusal, secret=self._secret)
                break
            if chunk.usage is not None:
                usage = chunk.usage
            if chunk.choices:
                for choice in chunk.choices:
                    self._choice(choice, deltas)
                if self.failure is not None:
                    break
        if usage is not None:
            deltas.append(UsageReport(usage.canonical()))
        return deltas

    def _choice(self, choice: Choice, deltas: list[Delta]) -> None:
        index, delta = choice.index, choice.delta
        logprobs = None if choice.logprobs is None else choice.logprobs.content or None
        # A refusal is what the model says instead of its content; the client has to read it all the same.
        text = "" if delta is None else delta.content or delta.refusal or ""
        if text or logprobs:
            deltas.append(TextDelta(text, index, logprobs))
        reason = choice.finish_reason
        if not reason or index in self._ended:
            return
        if reason in CUT_REASONS:
            self.failure = self.cut(f"broke off ({reason})")
            return
        self._ended.add(index)
        deltas.append(Finish(FINISH_REASONS.get(reason, "stop"), index))
