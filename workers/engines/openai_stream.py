"""A chat completions event stream as an incremental fold from bytes to deltas."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.chunks import Delta, Finish, FinishReason, ReasoningDelta, RefusalDelta, TextDelta, UsageReport
from schemas.errors import EngineFailed
from schemas.usage import Usage
from workers.engines import openai_errors
from workers.engines.event_stream import EventStream
from workers.engines.openai_calls import CallPiece, Calls
from workers.engines.openai_usage import WireUsage


class _Delta(msgspec.Struct):
    """`reasoning_content` is DeepSeek's and DigitalOcean's word, `reasoning` vLLM's and OpenRouter's; some say both."""

    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    tool_calls: list[CallPiece] | None = None

    @property
    def thought(self) -> str:
        if self.reasoning_content:
            return self.reasoning_content
        return self.reasoning if isinstance(self.reasoning, str) else ""


class _Logprobs(msgspec.Struct):
    content: list[dict[str, Any]] | None = None


class Choice(msgspec.Struct):
    """`stop_reason` and `token_ids` are vLLM's; the former is the stop sequence that was hit, or the id of a token that
    stops."""

    index: int = 0
    delta: _Delta | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None
    stop_reason: Any = None
    token_ids: list[int] | None = None


class _Chunk(msgspec.Struct):
    choices: list[Choice] | None = None
    usage: WireUsage | None = None
    prompt_token_ids: list[int] | None = None
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


class ChatStream(EventStream[Delta]):
    """Folds one response; `finished` once every choice has its Finish, `done` once nothing more will come.

    What went wrong stands in `failure` and is to be raised after the deltas that came before it have been passed on.
    """

    __slots__ = ("_calls", "_choices", "_ended", "_excludes", "_input_tokens", "_output_tokens")

    def __init__(
        self, model: str, choices: int, secret: str | None = None, *, input_excludes_cache: bool = False
    ) -> None:
        super().__init__(model, secret)
        self._choices = choices
        self._excludes = input_excludes_cache
        self._calls: dict[int, Calls] = {}
        self._ended: set[int] = set()
        self._input_tokens = 0
        self._output_tokens = 0

    def _fold(self, events: list[bytes]) -> list[Delta]:
        deltas: list[Delta] = []
        usage: WireUsage | None = None
        counted = self._input_tokens, self._output_tokens
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
            if chunk.prompt_token_ids:
                self._input_tokens = len(chunk.prompt_token_ids)
            if chunk.choices:
                for choice in chunk.choices:
                    self._choice(choice, deltas)
                if self.failure is not None:
                    break
        if usage is not None:
            deltas.append(UsageReport(usage.canonical(self._excludes)))
        elif counted != (self._input_tokens, self._output_tokens):
            deltas.append(UsageReport(Usage(self._input_tokens, self._output_tokens)))
        return deltas

    def _choice(self, choice: Choice, deltas: list[Delta]) -> None:
        index, delta = choice.index, choice.delta
        if choice.token_ids:
            self._output_tokens += len(choice.token_ids)
        logprobs = None if choice.logprobs is None else choice.logprobs.content or None
        text = ""
        if delta is not None:
            text = delta.content or ""
            if (delta.reasoning_content or delta.reasoning) and (thought := delta.thought):
                deltas.append(ReasoningDelta(thought, index))
            if delta.refusal:
                deltas.append(RefusalDelta(delta.refusal, index))
        if text or logprobs:
            deltas.append(TextDelta(text, index, logprobs))
        if delta is not None and delta.tool_calls:
            calls = self._calls.get(index) or self._calls.setdefault(index, Calls(index))
            for piece in delta.tool_calls:
                deltas += calls.add(piece)
        reason = choice.finish_reason
        if reason and index not in self._ended:
            sequence = choice.stop_reason if isinstance(choice.stop_reason, str) else None
            self._finish(index, reason, sequence, deltas)

    def _finish(self, index: int, reason: str, sequence: str | None, deltas: list[Delta]) -> None:
        if reason in CUT_REASONS:
            self.failure = self.cut(f"broke off ({reason})")
            return
        self._ended.add(index)
        self.finished = len(self._ended) >= self._choices
        canonical = FINISH_REASONS.get(reason, "stop")
        if (calls := self._calls.get(index)) is not None:
            deltas += calls.end()
            if canonical == "stop" and calls:
                # OpenAI's own word after a call that `tool_choice` forced, and Ollama's after any.
                canonical = "tool_calls"
        deltas.append(Finish(canonical, index, sequence if canonical == "stop" else None))
