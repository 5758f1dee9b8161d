"""A response as server-sent events."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from ingress.translate.one_line import one_line, quoted
from ingress.translate.openai_responses.bodies import Head
from ingress.translate.openai_responses.output import Item, Part, PartType
from ingress.translate.openai_responses.transcript import Transcript
from schemas.chunks import AnsweredBy, Chunk, Ended
from schemas.errors import ErrorData

DONE: Final = b"data: [DONE]\n\n"

Dialect = Literal["openai", "open_responses"]
"""Whose word is taken where the two differ: what reasoning's events are called, and where an error stands."""

WORDS: Final[dict[Dialect, dict[PartType, str]]] = {
    "openai": {
        "output_text": "response.output_text",
        "refusal": "response.refusal",
        "reasoning_text": "response.reasoning_text",
    },
    "open_responses": {
        "output_text": "response.output_text",
        "refusal": "response.refusal",
        "reasoning_text": "response.reasoning",
    },
}

ERROR_TYPES: Final[Mapping[int, str]] = {
    400: "invalid_request",
    404: "not_found",
    413: "invalid_request",
    429: "too_many_requests",
    502: "model_error",
}
"""What Open Responses calls an error with this status; every other is a server_error."""


class ResponsesStreamWriter(Transcript):
    """Writes one response's events; what a client would read is complete after every call.

    Events are numbered from 0 and the same chunks give the same numbers, however they come; those up to `after` are
    counted and not written. A response that failed says so in an error event and in its last one. Nothing is written
    after the end.
    """

    def __init__(self, head: Head, now: Callable[[], float], dialect: Dialect = "openai", after: int = -1) -> None:
        super().__init__(head, now)
        self._words = WORDS[dialect]
        self._dialect = dialect
        self._after = after
        self._next = 0
        self._events: list[bytes] = []
        self._begun = False
        self._beginning = b""
        self._middle = b""

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given, in its order."""
        if self.ended:
            return b""
        if chunks and isinstance(first := chunks[0], AnsweredBy):
            # It stands first, and the events that begin a response name its model.
            self.add([first])
        if not self._begun:
            self._begin_response()
        self.add(chunks)
        events, self._events = self._events, []
        return b"".join(events)

    def queued(self) -> bytes:
        """The events of a response that waits in the background; comes before any other."""
        self.status = "queued"
        self._snapshot("response.created")
        self._snapshot("response.queued")
        events, self._events = self._events, []
        return b"".join(events)

    def _begin_response(self) -> None:
        self._begun = True
        waited = self.status == "queued"
        self.status = "in_progress"
        if not waited:
            self._snapshot("response.created")
        self._snapshot("response.in_progress")

    def _grown(self, part: Part, text: str, logprobs: list[dict[str, Any]] | None) -> None:
        number = self._next
        self._next = number + 1
        if number <= self._after:
            return
        tail = self._middle if not logprobs else b',"logprobs":' + one_line(logprobs) + b',"sequence_number":'
        self._events += (self._beginning, quoted(text), tail, b"%d}\n\n" % number)

    def _argued(self, item: Item, piece: str) -> None:
        self._emit("response.function_call_arguments.delta", _of(item) | {"delta": piece})

    def _item_added(self, item: Item) -> None:
        self._emit("response.output_item.added", {"output_index": item.index, "item": item.body()})

    def _part_added(self, part: Part) -> None:
        self._emit("response.content_part.added", _in(part) | {"part": part.body()})
        kind = self._words[part.type].encode() + b".delta"
        place = one_line(_in(part))[1:-1]
        self._beginning = b'event: %b\ndata: {"type":"%b",%b,"delta":' % (kind, kind, place)
        self._middle = (b',"logprobs":[]' if part.type == "output_text" else b"") + b',"sequence_number":'

    def _part_done(self, part: Part) -> None:
        match part.type:
            case "output_text":
                said: dict[str, Any] = {"text": part.text, "logprobs": part.logprobs}
            case "refusal":
                said = {"refusal": part.text}
            case "reasoning_text":
                said = {"text": part.text}
        self._emit(self._words[part.type] + ".done", _in(part) | said)
        self._emit("response.content_part.done", _in(part) | {"part": part.body()})

    def _item_done(self, item: Item) -> None:
        if item.type == "function_call":
            said = {"arguments": item.arguments, "name": item.name}
            self._emit("response.function_call_arguments.done", _of(item) | said)
        self._emit("response.output_item.done", {"output_index": item.index, "item": item.body()})

    def _end(self, ended: Ended) -> None:
        super()._end(ended)
        match self.status:
            case "completed" | "incomplete" as status:
                self._snapshot(f"response.{status}")
            case "cancelled":
                # OpenAI's stream has no event of this name; its clients read the status.
                self._snapshot("response.failed")
            case _:
                assert self.error is not None
                self._emit("error", self._error(self.error))
                self._snapshot("response.failed")
        self._events.append(DONE)

    def _error(self, error: ErrorData) -> dict[str, Any]:
        told = {"code": error.code, "message": error.message, "param": error.param}
        if self._dialect == "openai":
            return told
        return {"error": {"type": ERROR_TYPES.get(error.status, "server_error"), **told}}

    def _snapshot(self, kind: str) -> None:
        self._emit(kind, {"response": self.body()})

    def _emit(self, kind: str, fields: dict[str, Any]) -> None:
        number = self._next
        self._next = number + 1
        if number > self._after:
            body = one_line({"type": kind, "sequence_number": number, **fields})
            self._events.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), body))


def _of(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.index}


def _in(part: Part) -> dict[str, Any]:
    return {"item_id": part.item.id, "output_index": part.item.index, "content_index": part.index}
