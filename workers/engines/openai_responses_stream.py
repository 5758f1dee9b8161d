"""A Responses event stream as an incremental fold from bytes to deltas."""

from typing import Any, Final

import msgspec

from schemas.chunks import Delta, Finish, FinishReason, RefusalDelta, TextDelta, UsageReport
from schemas.errors import EngineFailed
from schemas.usage import Usage
from workers.engines import openai_errors
from workers.engines.event_stream import EventStream
from workers.engines.openai_responses_output import Item, Output


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """`input_tokens` includes what was cached."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def canonical(self) -> Usage:
        inputs, outputs = self.input_tokens_details, self.output_tokens_details
        return Usage(
            input_tokens=self.input_tokens or 0,
            output_tokens=self.output_tokens or 0,
            cached_input_tokens=(inputs.cached_tokens or 0) if inputs else 0,
            reasoning_tokens=(outputs.reasoning_tokens or 0) if outputs else 0,
            cache_written_input_tokens=(inputs.cache_write_tokens or 0) if inputs else 0,
        )


class _Incomplete(msgspec.Struct, gc=False):
    reason: str | None = None


class _Response(msgspec.Struct):
    status: str | None = None
    usage: WireUsage | None = None
    incomplete_details: _Incomplete | None = None
    error: Any = None


class _Event(msgspec.Struct):
    """As much of any event as is read; `error` nests in Open Responses and lies flat in OpenAI's."""

    type: str = ""
    delta: Any = None
    output_index: int = 0
    content_index: int = 0
    summary_index: int = 0
    item: Item | None = None
    logprobs: list[dict[str, Any]] | None = None
    arguments: str | None = None
    response: _Response | None = None
    error: Any = None
    code: Any = None
    message: str | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)

INCOMPLETE: Final[dict[str | None, FinishReason]] = {"content_filter": "content_filter"}
"""Whatever else cut a response short was a limit."""

REASONING: Final = frozenset(
    {"response.reasoning_text.delta", "response.reasoning.delta", "response.reasoning_summary_text.delta"}
)
"""OpenAI's words for what open models show and what its own do, and Open Responses' for either."""


class ResponsesStream(EventStream[Delta]):
    """Folds one response; `finished` once it has its end, `done` once nothing more will come.

    What went wrong stands in `failure` and is to be raised after the deltas that came before it have been passed on.
    """

    __slots__ = ("_output",)

    def __init__(self, model: str, secret: str | None = None) -> None:
        super().__init__(model, secret)
        self._output = Output()

    def _fold(self, events: list[bytes]) -> list[Delta]:
        deltas: list[Delta] = []
        self.heard = True
        for data in events:
            if data == b"[DONE]":
                self._stop()
                break
            try:
                event = _EVENT.decode(data)
            except msgspec.DecodeError as exc:
                self.failure = EngineFailed(f"The engine of model '{self._model}' sent what is no Responses event.")
                self.failure.__cause__ = exc
                break
            self._event(event, deltas)
            if self.done or self.failure is not None:
                break
        return deltas

    def _event(self, event: _Event, deltas: list[Delta]) -> None:
        kind = event.type
        if kind == "response.output_text.delta":
            self._output.said.add(event.output_index)
            logprobs = [_token(token) for token in event.logprobs] if event.logprobs else None
            deltas.append(TextDelta(_text(event.delta), 0, logprobs))
        elif kind in REASONING:
            part = (kind, event.output_index, event.summary_index + event.content_index)
            deltas += self._output.reasoned(part, _text(event.delta))
        elif kind == "response.refusal.delta":
            self._output.said.add(event.output_index)
            deltas.append(RefusalDelta(_text(event.delta)))
        elif kind == "response.function_call_arguments.delta":
            deltas += self._output.arguments(event.output_index, _text(event.delta))
        elif kind == "response.function_call_arguments.done":
            deltas += self._output.all_arguments(event.output_index, event.arguments or "")
        elif kind == "response.output_item.added" and event.item is not None:
            deltas += self._output.begun(event.output_index, event.item)
        elif kind == "response.output_item.done" and event.item is not None:
            deltas += self._output.ended(event.output_index, event.item)
        elif kind in ("response.completed", "response.incomplete"):
            self._finish(event, deltas)
        elif kind in ("response.failed", "error"):
            self._fail(event)
        elif kind == "response.cancelled":
            self.failure = self.cut("was cancelled")

    def _finish(self, event: _Event, deltas: list[Delta]) -> None:
        response = event.response or _Response()
        reason: FinishReason = "tool_calls" if self._output.calls else "stop"
        # vLLM names the event for the end and says in the response that it was cut short (0.32, 2026-11).
        if event.type == "response.incomplete" or response.status == "incomplete":
            details = response.incomplete_details
            reason = INCOMPLETE.get(details.reason if details else None, "length")
        deltas.append(Finish(reason))
        if response.usage is not None:
            deltas.append(UsageReport(response.usage.canonical()))
        self.finished = self.done = True

    def _fail(self, event: _Event) -> None:
        error = event.error or (event.response.error if event.response else None)
        refusal = openai_errors.of_error(error or {"message": event.message, "code": event.code})
        status = openai_errors.status_of(refusal)
        self.failure = openai_errors.to_error(self._model, status, refusal, secret=self._secret)


def _text(delta: Any) -> str:
    return delta if isinstance(delta, str) else ""


def _token(token: dict[str, Any]) -> dict[str, Any]:
    """Chat completions' token object, which has the bytes too."""
    return {**_shown(token), "top_logprobs": [_shown(other) for other in token.get("top_logprobs") or ()]}


def _shown(token: dict[str, Any]) -> dict[str, Any]:
    text = token.get("token", "")
    # Half a character is written out as the bytes it has, and nothing tells them from a text that reads the same.
    known = None if text.startswith("bytes:") else list(text.encode())
    return {"token": text, "logprob": token.get("logprob", 0.0), "bytes": token.get("bytes", known)}
