"""A message as one reply: a fold over the same chunks that would have been streamed."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import msgspec

from ingress.translate.anthropic.bodies import end_usage, head, stop_reason, tool_id
from ingress.translate.anthropic.stream import BLOCK_STOP
from ingress.translate.ending import end_error
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
from schemas.errors import ErrorData
from schemas.media_chunks import Audio, Picture, Vectors
from schemas.usage import Usage

ENCODE: Final = msgspec.json.Encoder().encode
DECODE: Final = msgspec.json.Decoder().decode


class _Block:
    """A block and the pieces of its one long field."""

    def __init__(self, kind: str, body: dict[str, Any]) -> None:
        self.kind = kind
        self._body = body
        self._pieces: list[str] = []
        self._citations: list[Any] = []

    def add(self, piece: str) -> None:
        self._pieces.append(piece)

    def note(self, fields: dict[str, Any]) -> None:
        self._body |= fields

    def cite(self, citation: Any) -> None:
        self._citations.append(citation)

    def body(self) -> dict[str, Any]:
        whole = "".join(self._pieces)
        match self.kind:
            case "text":
                return {**self._body, "text": whole, **({"citations": self._citations} if self._citations else {})}
            case "thinking":
                return {**self._body, "thinking": whole}
            case "tool_use":
                return {**self._body, "input": tool_input(whole)}
            case _:
                return self._body


class MessagesFold:
    """Gathers one message. After the end, either `error` says why there is no reply or `reply` gives it."""

    def __init__(self, job_id: str, model: str) -> None:
        self._job_id = job_id
        self._model = model
        self._blocks: list[_Block] = []
        self._calls: dict[int, _Block] = {}
        self._open: _Block | None = None
        self._refused = False
        self._finish: Finish | None = None
        self._usage = Usage()
        self._ended = False
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if self._ended:
                return
            match chunk:
                case Finish():
                    self._finish = chunk
                case AnsweredBy(model=model):
                    self._model = model
                case UsageReport(usage=usage):
                    self._usage = usage
                case Ended():
                    self._end(chunk)
                case Vectors() | Picture() | Audio():
                    pass  # no text model's
                case _:
                    self._delta(chunk)

    def reply(self) -> bytes:
        """The body of the whole message."""
        assert self._finish is not None, "a message without a finish is an error"
        reason = stop_reason(self._finish, called=bool(self._calls), refused=self._refused)
        return ENCODE(
            {
                **head(self._job_id, self._model),
                "content": [block.body() for block in self._blocks],
                "stop_reason": reason,
                "stop_sequence": self._finish.stop_sequence,
                **(self._finish.details or {}),
                "usage": end_usage(self._usage, self._finish),
            }
        )

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
                self._block("thinking").note({"signature": signature})
                self._open = None
            case RedactedReasoning(data=data):
                self._append("whole", {"type": "redacted_thinking", "data": data})
            case ToolCallDelta():
                self._tool_call(delta)
            case OpaquePiece():
                self._opaque(delta)
            case _:
                assert_never(delta)

    def _piece(self, kind: str, text: str) -> None:
        if text:
            self._block(kind).add(text)

    def _block(self, kind: str) -> _Block:
        """The open block if it is of this kind, or a new one."""
        if self._open is not None and self._open.kind == kind:
            return self._open
        return self._append(kind, {"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {}))

    def _append(self, kind: str, body: dict[str, Any]) -> _Block:
        self._open = block = _Block(kind, body)
        self._blocks.append(block)
        return block

    def _tool_call(self, delta: ToolCallDelta) -> None:
        call = self._calls.get(delta.index)
        if call is None:
            call_id = delta.id or tool_id(self._job_id, delta.index)
            body = {"type": "tool_use", "id": call_id, "name": delta.name or "", "input": {}}
            call = self._calls[delta.index] = self._append("tool_use", body | (delta.extras or {}))
        call.add(delta.arguments)

    def _opaque(self, piece: OpaquePiece) -> None:
        if piece.dialect != ANTHROPIC:
            return
        kind = piece.body.get("type")
        if piece.whole:
            self._append("whole", piece.body)
        elif kind == BLOCK_STOP:
            self._open = None
        elif kind == "citations_delta" and self._open is not None:
            self._open.cite(piece.body.get("citation"))

    def _end(self, ended: Ended) -> None:
        self._ended = True
        self._usage = ended.usage
        self.error = end_error(ended, finished=self._finish is not None)


def tool_input(arguments: str) -> Any:
    """The object that a call's arguments are; where the model left none, their text as it is, so nothing is lost."""
    if not arguments.strip():
        return {}
    try:
        value = DECODE(arguments)
    except msgspec.DecodeError:
        return arguments
    return value if isinstance(value, dict) else arguments
