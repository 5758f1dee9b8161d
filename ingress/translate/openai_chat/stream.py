"""A chat completion as server-sent events."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import msgspec

from ingress.errors import openai_error_frame
from ingress.translate.ending import end_error
from ingress.translate.one_line import one_line, quoted
from ingress.translate.openai_chat.bodies import completion_id, usage_body
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Ended,
    Finish,
    OpaquePiece,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.media_chunks import Audio, Picture, Vectors

ENCODE: Final = msgspec.json.Encoder().encode
DONE: Final = b"data: [DONE]\n\n"


class StreamWriter:
    """Writes one completion's events; what a client would read is complete after every call.

    The role travels with the first event of each choice, whatever that is. A job that failed ends with an error
    frame and nothing that looks like a clean stop. Nothing is written after the end.
    """

    def __init__(self, job_id: str, model: str, created: int, include_usage: bool) -> None:
        self._fields = {"id": completion_id(job_id), "object": "chat.completion.chunk", "created": created}
        self._name(model)
        self._include_usage = include_usage
        usage = b',"usage":null' if include_usage else b""
        self._close = b"}]" + usage + b"}\n\n"
        self._plain_end = b'},"logprobs":null,"finish_reason":null' + self._close
        self._prefixes: dict[int, bytes] = {}
        self._unfinished: set[int] = set()
        self._ended = False

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given, in its order."""
        events: list[bytes] = []
        for chunk in chunks:
            if self._ended:
                break
            match chunk:
                case TextDelta():
                    self._text(chunk, events)
                case ReasoningDelta():
                    self._field(chunk.choice, b'"reasoning_content":', chunk.text, events)
                case RefusalDelta():
                    self._field(chunk.choice, b'"refusal":', chunk.text, events)
                case ToolCallDelta():
                    self._tool_call(chunk, events)
                case Finish():
                    self._finish(chunk, events)
                case Ended():
                    self._end(chunk, events)
                case AnsweredBy(model=model):
                    self._name(model)
                case UsageReport() | Signature() | RedactedReasoning() | OpaquePiece():
                    pass  # nothing that this dialect has a word for
                case Vectors() | Picture() | Audio():
                    pass  # no text model's
                case _:
                    assert_never(chunk)
        return b"".join(events)

    def _name(self, model: str) -> None:
        """Says which model answers; before the first event only."""
        self._head = b"data: " + ENCODE({**self._fields, "model": model})[:-1]

    def _text(self, delta: TextDelta, events: list[bytes]) -> None:
        prefix = self._prefixes.get(delta.choice) or self._open(delta.choice, events)
        if delta.logprobs is None:
            events += (prefix, b'"content":', quoted(delta.text), self._plain_end)
        else:
            logprobs = one_line({"content": delta.logprobs, "refusal": None})
            events += (prefix, b'"content":', quoted(delta.text), b'},"logprobs":', logprobs)
            events += (b',"finish_reason":null', self._close)

    def _field(self, choice: int, name: bytes, text: str, events: list[bytes]) -> None:
        prefix = self._prefixes.get(choice) or self._open(choice, events)
        events += (prefix, name, quoted(text), self._plain_end)

    def _tool_call(self, delta: ToolCallDelta, events: list[bytes]) -> None:
        """The first piece of a call says what it is, later ones only go on with its arguments."""
        prefix = self._prefixes.get(delta.choice) or self._open(delta.choice, events)
        call: dict[str, Any] = {"index": delta.index}
        function: dict[str, str] = {"arguments": delta.arguments}
        if delta.id is not None:
            call |= {"id": delta.id, "type": "function"}
        if delta.name is not None:
            function = {"name": delta.name, **function}
        events += (prefix, b'"tool_calls":', one_line([call | {"function": function}]), self._plain_end)

    def _finish(self, finish: Finish, events: list[bytes]) -> None:
        known = finish.choice in self._prefixes
        prefix = self._prefixes.get(finish.choice) or self._open(finish.choice, events)
        content = b"" if known else b'"content":""'
        events += (prefix, content, b'},"logprobs":null,"finish_reason":', ENCODE(finish.reason), self._close)
        self._unfinished.discard(finish.choice)

    def _open(self, choice: int, events: list[bytes]) -> bytes:
        """The beginning of a choice's first event; later ones begin as `_prefixes` then says."""
        begin = self._head + b',"choices":[{"index":' + ENCODE(choice) + b',"delta":{'
        self._prefixes[choice] = begin
        self._unfinished.add(choice)
        return begin + b'"role":"assistant",'

    def _end(self, ended: Ended, events: list[bytes]) -> None:
        self._ended = True
        error = end_error(ended, finished=bool(self._prefixes) and not self._unfinished)
        if error is not None:
            events.append(openai_error_frame(error))
            return
        if self._include_usage:
            events += (self._head, b',"choices":[],"usage":', ENCODE(usage_body(ended.usage)), b"}\n\n")
        events.append(DONE)
