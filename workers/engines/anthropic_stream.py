"""A Messages event stream as an incremental fold from bytes to deltas."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.chunks import (
    Delta,
    Finish,
    FinishReason,
    OpaquePiece,
    ReasoningDelta,
    RedactedReasoning,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.dialects import ANTHROPIC
from schemas.errors import EngineFailed
from schemas.usage import Usage
from workers.engines import openai_errors
from workers.engines.event_stream import EventStream

CHARS_PER_TOKEN: Final = 4
"""The usual length of a token of English text, until the provider tells its count at the end."""

FINISH_REASONS: Final[Mapping[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""A reason that is not here is a provider's own word for being done: stop."""

NATIVE_REASONS: Final = frozenset({"pause_turn", "model_context_window_exceeded"})
"""Reasons that say more than the canonical ones."""

USAGE_DETAILS: Final = ("server_tool_use", "service_tier", "speed", "inference_geo")
"""Fields of a usage object that count no tokens; the first is a bill that Anthropic makes out by the request."""

ENCODE: Final = msgspec.json.Encoder().encode


class _CacheCreation(msgspec.Struct, gc=False):
    ephemeral_1h_input_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """Anthropic's usage object, whose `input_tokens` are only those that no cache was involved in."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_creation: _CacheCreation | None = None
    output_tokens_details: _OutputDetails | None = None
    server_tool_use: Any = None
    service_tier: Any = None
    speed: Any = None
    inference_geo: Any = None

    def later(self, update: "WireUsage") -> "WireUsage":
        """The count once a later one has come, which tells only what has changed."""
        return msgspec.structs.replace(self, **_told(msgspec.structs.asdict(update)))

    def details(self) -> dict[str, Any] | None:
        """What it tells that is no count of tokens."""
        return _told({name: getattr(self, name) for name in USAGE_DETAILS}) or None

    def canonical(self, output_tokens: int | None = None) -> Usage:
        """With `output_tokens` in place of a count that the provider has not made yet."""
        cached, written = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        hour, details = self.cache_creation, self.output_tokens_details
        return Usage(
            input_tokens=(self.input_tokens or 0) + cached + written,
            output_tokens=(self.output_tokens or 0) if output_tokens is None else output_tokens,
            cached_input_tokens=cached,
            reasoning_tokens=(details.thinking_tokens or 0) if details is not None else 0,
            estimated=output_tokens is not None,
            cache_written_input_tokens=written,
            cache_written_1h_input_tokens=(hour.ephemeral_1h_input_tokens or 0) if hour is not None else 0,
        )


def _told(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


class _Message(msgspec.Struct):
    usage: WireUsage | None = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    partial_json: str = ""
    signature: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Any = None
    container: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: dict[str, Any] | None = None
    message: _Message | None = None
    usage: WireUsage | None = None
    error: Any = None


class _RawDelta(msgspec.Struct):
    delta: dict[str, Any]


_EVENT: Final = msgspec.json.Decoder(_Event)
_RAW_DELTA: Final = msgspec.json.Decoder(_RawDelta)


class _Open:
    """The block under way; `call` is the number of a tool call, `pieces` the JSON that came for it."""

    __slots__ = ("body", "call", "kind", "pieces")

    def __init__(self, kind: str, body: dict[str, Any], call: int) -> None:
        self.kind = kind
        self.body = body
        self.call = call
        self.pieces: list[str] = []


class MessagesStream(EventStream[Delta]):
    """Folds one response; `finished` once there was a stop reason, `done` once nothing more will come.

    What went wrong stands in `failure` and is to be raised after the deltas that came before it have been passed on.
    The usage of the prompt, which comes first, is held back until there is output: until then nothing has begun.
    """

    __slots__ = ("_calls", "_chars", "_kind_before", "_open", "_usage")

    def __init__(self, model: str, secret: str | None = None) -> None:
        super().__init__(model, secret)
        self._open: dict[int, _Open] = {}
        self._kind_before = ""
        self._calls = 0
        self._chars = 0
        self._usage = WireUsage()

    def _fold(self, events: list[bytes]) -> list[Delta]:
        deltas: list[Delta] = []
        for data in events:
            self.heard = True
            try:
                event = _EVENT.decode(data)
                self._event(event, data, deltas)
            except msgspec.DecodeError as exc:
                self.failure = EngineFailed(f"The engine of model '{self._model}' sent what is no Messages event.")
                self.failure.__cause__ = exc
            if self.done or self.failure is not None:
                break
        if deltas and not self.finished:
            deltas.append(UsageReport(self._usage.canonical(max(1, self._chars // CHARS_PER_TOKEN))))
        return deltas

    def _event(self, event: _Event, data: bytes, deltas: list[Delta]) -> None:
        match event.type:
            case "content_block_delta":
                if event.delta is not None and (block := self._open.get(event.index)) is not None:
                    self._piece(block, event.delta, data, deltas)
            case "content_block_start":
                self._start(event.index, event.content_block or {}, deltas)
            case "content_block_stop":
                if (block := self._open.pop(event.index, None)) is not None:
                    _close(block, deltas)
            case "message_start":
                if event.message is not None and event.message.usage is not None:
                    self._usage = event.message.usage
            case "message_delta":
                self._message_delta(event, deltas)
            case "message_stop":
                self._stop()
            case "error":
                refusal = openai_errors.of_error(event.error)
                status = openai_errors.status_of(refusal)
                self.failure = openai_errors.to_error(self._model, status, refusal, secret=self._secret)
            case _:
                pass  # a ping, or what is new and has no meaning here

    def _start(self, index: int, body: dict[str, Any], deltas: list[Delta]) -> None:
        kind = body.get("type", "")
        block = self._open[index] = _Open(kind, body, self._calls)
        if kind in ("text", "thinking") and kind == self._kind_before:
            deltas.append(OpaquePiece(ANTHROPIC, {"type": "content_block_stop"}, whole=False))
        self._kind_before = kind
        match kind:
            case "text" | "thinking":
                self._piece(block, _Delta(f"{kind}_delta", body.get("text", ""), body.get("thinking", "")), b"", deltas)
            case "redacted_thinking":
                deltas.append(RedactedReasoning(body.get("data", "")))
            case "tool_use":
                self._calls += 1
                extras = {k: v for k, v in body.items() if k not in ("type", "id", "name", "input") and v is not None}
                deltas.append(ToolCallDelta(block.call, "", body.get("id"), body.get("name"), extras=extras or None))

    def _piece(self, block: _Open, delta: _Delta, data: bytes, deltas: list[Delta]) -> None:
        match delta.type:
            case "text_delta":
                self._chars += len(delta.text)
                if block.kind != "text":
                    block.body["text"] = block.body.get("text", "") + delta.text
                elif delta.text:
                    deltas.append(TextDelta(delta.text))
            case "thinking_delta" if block.kind == "thinking":
                if delta.thinking:
                    self._chars += len(delta.thinking)
                    deltas.append(ReasoningDelta(delta.thinking))
            case "signature_delta" if block.kind == "thinking":
                if delta.signature:
                    deltas.append(Signature(delta.signature))
            case "input_json_delta":
                if delta.partial_json:
                    self._chars += len(delta.partial_json)
                    block.pieces.append(delta.partial_json)
                    if block.kind == "tool_use":
                        deltas.append(ToolCallDelta(block.call, delta.partial_json))
            case _:
                if block.kind in ("text", "thinking", "tool_use"):
                    deltas.append(OpaquePiece(ANTHROPIC, _RAW_DELTA.decode(data).delta, whole=False))

    def _message_delta(self, event: _Event, deltas: list[Delta]) -> None:
        if event.usage is not None:
            self._usage = self._usage.later(event.usage)
        if event.delta is None or event.delta.stop_reason is None or self.finished:
            return
        reason = event.delta.stop_reason
        sequence = event.delta.stop_sequence if reason == "stop_sequence" else None
        native = reason if reason in NATIVE_REASONS else None
        self.finished = True
        details = _told({"stop_details": event.delta.stop_details, "container": event.delta.container}) or None
        canonical = FINISH_REASONS.get(reason, "stop")
        deltas.append(Finish(canonical, 0, sequence, native, details, self._usage.details()))
        deltas.append(UsageReport(self._usage.canonical()))


def _close(block: _Open, deltas: list[Delta]) -> None:
    """What is only known of a block at its end."""
    given = block.body.get("input")
    match block.kind:
        case "text" | "redacted_thinking":
            return
        case "thinking":
            # Some servers give a signature with the block itself; one that came as a delta is not in it.
            if block.body.get("signature"):
                deltas.append(Signature(block.body["signature"]))
        case "tool_use":
            if given and not block.pieces:
                deltas.append(ToolCallDelta(block.call, ENCODE(given).decode()))
        case _:
            if block.pieces:
                block.body["input"] = msgspec.json.decode("".join(block.pieces))
            deltas.append(OpaquePiece(ANTHROPIC, block.body))
