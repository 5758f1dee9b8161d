"""From canonical chunks to output items: what the stream of a response and the whole of it share."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, assert_never

from ingress.translate.ending import end_error
from ingress.translate.openai_responses.bodies import Head, failure_body, usage_body
from ingress.translate.openai_responses.output import Item, ItemStatus, Part, PartType
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Ended,
    Finish,
    FinishReason,
    OpaquePiece,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    Signature,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from schemas.errors import ErrorData
from schemas.media_chunks import Audio, Picture, Vectors
from schemas.usage import UNCOUNTED, Usage

Status = Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]

INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
"""Why a response that came to its end does not say all it would have said."""


class Transcript:
    """Builds a response's items from chunks, one after the other.

    Text, a refusal and reasoning close what was said before them. Function calls stay open until the end, since their
    pieces may come interleaved. A response has one choice; what belongs to another is not its own. What is built can
    be followed by overriding the methods that say what has just begun, grown or ended. `now` gives Unix seconds.
    """

    def __init__(self, head: Head, now: Callable[[], float]) -> None:
        self.head = head
        self.status: Status = "in_progress"
        self.error: ErrorData | None = None
        self.usage = Usage()
        self.ended = False
        self._now = now
        self._completed_at: int | None = None
        self._items: list[Item] = []
        self._part: Part | None = None
        self._latest: Item | None = None
        self._calls: dict[int, Item] = {}
        self._reason: FinishReason | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if self.ended:
                return
            self._take(chunk)

    def body(self) -> dict[str, Any]:
        """The response object as it stands."""
        reason = INCOMPLETE.get(self._reason) if self._reason is not None and self.status == "incomplete" else None
        return {
            **self.head.fields,
            "status": self.status,
            "completed_at": self._completed_at,
            "error": failure_body(self.error) if self.error is not None and self.status == "failed" else None,
            "incomplete_details": None if reason is None else {"reason": reason},
            "output": [item.body() for item in self._items],
            "usage": usage_body(self.usage) if self.ended and self.usage != UNCOUNTED else None,
        }

    def _take(self, chunk: Chunk) -> None:
        match chunk:
            case TextDelta(choice=0):
                self._say("output_text", chunk.text, chunk.logprobs)
            case RefusalDelta(choice=0):
                self._say("refusal", chunk.text)
            case ReasoningDelta(choice=0):
                self._say("reasoning_text", chunk.text)
            case Signature(choice=0):
                self._sign(chunk.signature)
            case RedactedReasoning(choice=0):
                self._close_part()
                self._seal(self._begin("reasoning"), chunk.data)
            case ToolCallDelta(choice=0):
                self._call(chunk)
            case Finish(choice=0):
                self._reason = chunk.reason
            case AnsweredBy(model=model):
                self.head = self.head.answered_by(model)
            case Ended():
                self._end(chunk)
            case TextDelta() | RefusalDelta() | ReasoningDelta() | Signature() | RedactedReasoning():
                pass
            case ToolCallDelta() | Finish() | UsageReport() | OpaquePiece() | Vectors() | Picture() | Audio():
                pass
            case _:
                assert_never(chunk)

    def _say(self, kind: PartType, text: str, logprobs: list[dict[str, Any]] | None = None) -> None:
        if not text and not logprobs:
            return
        part = self._part
        if part is None or part.type != kind:
            part = self._open(kind)
        part.pieces.append(text)
        if logprobs:
            part.logprobs += logprobs
        self._grown(part, text, logprobs)

    def _open(self, kind: PartType) -> Part:
        """A new part; text and refusals of one turn share a message."""
        of: Literal["message", "reasoning"] = "reasoning" if kind == "reasoning_text" else "message"
        before = self._part
        if before is not None and before.item.type == of:
            self._part_done(before)
            item = before.item
        else:
            self._close_part()
            item = self._begin(of)
        part = self._part = Part(item, kind)
        item.parts.append(part)
        self._part_added(part)
        return part

    def _begin(self, kind: Literal["message", "reasoning", "function_call"]) -> Item:
        item = self._latest = Item(kind, self.head.number, len(self._items))
        self._items.append(item)
        if kind != "function_call":
            self._item_added(item)
        return item

    def _close_part(self, status: ItemStatus = "completed") -> None:
        part, self._part = self._part, None
        if part is not None:
            self._part_done(part)
            part.item.status = status
            self._item_done(part.item)

    def _sign(self, signature: str) -> None:
        """Reasoning that was not shown still has a text, an empty one, which its signature is for."""
        part = self._part
        if part is None or part.item.type != "reasoning":
            part = self._open("reasoning_text")
        part.item.encrypted = signature
        self._close_part()

    def _seal(self, item: Item, data: str) -> None:
        item.encrypted = data
        item.status = "completed"
        self._item_done(item)

    def _call(self, delta: ToolCallDelta) -> None:
        item = self._calls.get(delta.index)
        if item is None:
            self._close_part()
            item = self._calls[delta.index] = self._begin("function_call")
            item.call_id = delta.id or f"call_{self.head.number}{item.index:x}"
            item.name = delta.name or ""
            self._item_added(item)
        self._latest = item
        if delta.arguments:
            item.pieces.append(delta.arguments)
            self._argued(item, delta.arguments)

    def _end(self, ended: Ended) -> None:
        self.ended = True
        self.usage = ended.usage
        self.error = end_error(ended, finished=self._reason is not None)
        if self.error is not None:
            self.status = "cancelled" if ended.end == "cancelled" else "failed"
            for item in self._items:
                if item.status == "in_progress":
                    item.status = "incomplete"
            return
        if not self._items:
            self._open("output_text")
        self.status = "incomplete" if self._reason in INCOMPLETE else "completed"
        self._close(self.status)
        self._completed_at = int(self._now()) if self.status == "completed" else None

    def _close(self, status: ItemStatus) -> None:
        """Ends what is open; `status` is that of whatever was said last."""
        latest = self._latest
        self._close_part(status if self._part is not None and self._part.item is latest else "completed")
        for item in self._calls.values():
            item.status = status if item is latest else "completed"
            self._item_done(item)

    def _item_added(self, item: Item) -> None: ...

    def _part_added(self, part: Part) -> None: ...

    def _grown(self, part: Part, text: str, logprobs: list[dict[str, Any]] | None) -> None: ...

    def _argued(self, item: Item, piece: str) -> None: ...

    def _part_done(self, part: Part) -> None: ...

    def _item_done(self, item: Item) -> None: ...
