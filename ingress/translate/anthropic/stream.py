"""A message as server-sent events."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, assert_never

from ingress.translate.anthropic.bodies import end_usage, head, stop_reason, tool_id, usage_body
from ingress.translate.anthropic.errors import anthropic_error_event
from ingress.translate.anthropic.order import InOrder
from ingress.translate.ending import end_error
from ingress.translate.one_line import one_line, quoted
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Ended,
    Finish,
    OpaquePiece,
    OutputDelta,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.dialects import ANTHROPIC
from schemas.media_chunks import Audio, Picture, Vectors
from schemas.usage import Usage

MESSAGE_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
PIECE_END: Final = b"}}\n\n"

BLOCK_STOP: Final = "content_block_stop"
"""The event by which this dialect's provider tells two neighbouring blocks of one kind apart."""


class MessagesStreamWriter:
    """Writes one message's events; what a client would read is complete after every call.

    Blocks follow one another, each stopped before the next one starts. Usage and stop reason come with the job's end,
    so a job that failed ends with an `error` event and nothing that looks like a clean stop. Nothing is written after.
    """

    ping: Final = b'event: ping\ndata: {"type": "ping"}\n\n'

    def __init__(self, job_id: str, model: str, input_tokens_estimate: int) -> None:
        self._job_id = job_id
        self._model = model
        self._estimate = input_tokens_estimate
        self._order = InOrder()
        self._events: list[bytes] = []
        self._begun = False
        self._index = -1
        self._open: str | int | None = None
        self._prefix = b""
        self._called = self._refused = False
        self._finish: Finish | None = None
        self._ended = False

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given."""
        self._events = []
        for chunk in chunks:
            if self._ended:
                break
            match chunk:
                case TextDelta() if not self._order.calling:
                    self._piece("text", chunk.text)
                case Finish():
                    self._finished(chunk)
                case Ended():
                    self._end(chunk)
                case AnsweredBy(model=model):
                    self._model = model
                case UsageReport():
                    pass  # the end has the last count
                case Vectors() | Picture() | Audio():
                    pass  # no text model's
                case _:
                    for delta in self._order.add(chunk):
                        self._delta(delta)
        return b"".join(self._events)

    def _delta(self, delta: OutputDelta) -> None:
        match delta:
            case TextDelta(text=text):
                self._piece("text", text)
            case RefusalDelta(text=text):
                self._refused = True
                self._piece("text", text)
            case ReasoningDelta(text=text):
                self._piece("thinking", text)
            case Signature(signature=signature):
                self._start("thinking", {"type": "thinking", "thinking": "", "signature": ""})
                self._native_piece({"type": "signature_delta", "signature": signature})
                self._stop()
            case RedactedReasoning(data=data):
                self._whole({"type": "redacted_thinking", "data": data})
            case ToolCallDelta():
                self._tool_call(delta)
            case OpaquePiece():
                if delta.dialect == ANTHROPIC:
                    self._opaque(delta)
            case _:
                assert_never(delta)

    def _piece(self, kind: str, text: str) -> None:
        if not text:
            return
        if self._open != kind:
            block = {"type": kind, kind: ""}
            self._start(kind, block if kind == "text" else {**block, "signature": ""})
        self._events += (self._prefix, quoted(text), PIECE_END)

    def _tool_call(self, delta: ToolCallDelta) -> None:
        self._called = True
        if self._open != delta.index:
            call_id = delta.id or tool_id(self._job_id, delta.index)
            block = {"type": "tool_use", "id": call_id, "name": delta.name or "", "input": {}}
            self._start(delta.index, block | (delta.extras or {}))
        if delta.arguments:
            self._events += (self._prefix, quoted(delta.arguments), PIECE_END)

    def _opaque(self, piece: OpaquePiece) -> None:
        if piece.whole:
            self._whole(piece.body)
        elif piece.body.get("type") == BLOCK_STOP:
            self._stop()
        elif self._open is not None:
            self._native_piece(piece.body)

    def _whole(self, block: Mapping[str, Any]) -> None:
        self._start("whole", block)
        self._stop()

    def _native_piece(self, delta: Mapping[str, Any]) -> None:
        self._event("content_block_delta", {"index": self._index, "delta": delta})

    def _start(self, key: str | int, block: Mapping[str, Any]) -> None:
        """Opens the block `key`, unless it is the one that is open."""
        if self._open == key:
            return
        self._begin()
        self._stop()
        self._open = key
        self._index += 1
        self._event("content_block_start", {"index": self._index, "content_block": block})
        match key:
            case "text":
                opening = b'"text_delta","text":'
            case "thinking":
                opening = b'"thinking_delta","thinking":'
            case _:
                opening = b'"input_json_delta","partial_json":'
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
        self._prefix = head % self._index + opening

    def _stop(self) -> None:
        if self._open is not None:
            self._open = None
            self._event(BLOCK_STOP, {"index": self._index})

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            usage = usage_body(Usage(input_tokens=self._estimate))
            message = {**head(self._job_id, self._model), "content": [], "stop_reason": None, "stop_sequence": None}
            self._event("message_start", {"message": {**message, "usage": usage}})

    def _finished(self, finish: Finish) -> None:
        for delta in self._order.flush():
            self._delta(delta)
        self._begin()
        self._stop()
        self._finish = finish

    def _end(self, ended: Ended) -> None:
        self._ended = True
        error = end_error(ended, finished=self._finish is not None)
        if error is not None or self._finish is None:
            self._events += [anthropic_error_event(error)] if error is not None else []
            return
        reason = stop_reason(self._finish, called=self._called, refused=self._refused)
        delta = {
            "stop_reason": reason,
            "stop_sequence": self._finish.stop_sequence,
            **(self._finish.details or {}),
        }
        self._event("message_delta", {"delta": delta, "usage": end_usage(ended.usage, self._finish)})
        self._events.append(MESSAGE_STOP)

    def _event(self, kind: str, fields: Mapping[str, Any]) -> None:
        self._events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), one_line({"type": kind, **fields})))
