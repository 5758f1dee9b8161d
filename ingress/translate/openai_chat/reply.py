"""A chat completion as one reply: a fold over the same chunks that would have been streamed."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import msgspec

from ingress.translate.ending import end_error
from ingress.translate.openai_chat.bodies import completion_id, usage_body
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
from schemas.usage import Usage

ENCODE: Final = msgspec.json.Encoder().encode


class _Call:
    """One tool call; its arguments are given as the model wrote them, whole JSON or not."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments: list[str] = []

    def add(self, delta: ToolCallDelta) -> None:
        self.id = delta.id or self.id
        self.name = delta.name or self.name
        self.arguments.append(delta.arguments)

    def body(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"id": self.id, "type": "function", "function": function}


class _Choice:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.reasoning: list[str] = []
        self.refusals: list[str] = []
        self.calls: dict[int, _Call] = {}
        self.logprobs: list[dict[str, Any]] | None = None
        self.finish_reason: FinishReason | None = None

    def body(self, index: int) -> dict[str, Any]:
        logprobs = None if self.logprobs is None else {"content": self.logprobs, "refusal": None}
        content = "".join(self.texts) if self.texts or not (self.calls or self.refusals) else None
        refusal = "".join(self.refusals) or None
        reasoning = "".join(self.reasoning) or None
        # All four are there, whatever was said: DigitalOcean's schema requires them.
        said = {"content": content, "refusal": refusal, "reasoning_content": reasoning}
        message: dict[str, Any] = {"role": "assistant", **said}
        if self.calls:
            message["tool_calls"] = [call.body() for _, call in sorted(self.calls.items())]
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": self.finish_reason}


class ReplyFold:
    """Gathers one completion. After the end, either `error` says why there is no reply or `reply` gives it."""

    def __init__(self, job_id: str, model: str, created: int) -> None:
        self._head = {"id": completion_id(job_id), "object": "chat.completion", "created": created, "model": model}
        self._choices: dict[int, _Choice] = {}
        self.usage = Usage()
        self.error: ErrorData | None = None
        self.ended = False

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if self.ended:
                return
            match chunk:
                case TextDelta():
                    self._text(chunk)
                case ReasoningDelta(text=text, choice=choice):
                    self._choice(choice).reasoning.append(text)
                case RefusalDelta(text=text, choice=choice):
                    self._choice(choice).refusals.append(text)
                case ToolCallDelta():
                    self._choice(chunk.choice).calls.setdefault(chunk.index, _Call()).add(chunk)
                case Signature() | RedactedReasoning() | OpaquePiece() | Vectors() | Picture() | Audio():
                    pass  # nothing that this dialect has a word for
                case Finish(reason=reason, choice=choice):
                    self._choice(choice).finish_reason = reason
                case AnsweredBy(model=model):
                    self._head["model"] = model
                case UsageReport(usage=usage):
                    self.usage = usage
                case Ended():
                    self._end(chunk)
                case _:
                    assert_never(chunk)

    def reply(self) -> bytes:
        """The body of the whole completion, its choices by index."""
        choices = [choice.body(index) for index, choice in sorted(self._choices.items())]
        return ENCODE({**self._head, "choices": choices, "usage": usage_body(self.usage)})

    def _text(self, delta: TextDelta) -> None:
        choice = self._choice(delta.choice)
        choice.texts.append(delta.text)
        if delta.logprobs is not None:
            choice.logprobs = [] if choice.logprobs is None else choice.logprobs
            choice.logprobs += delta.logprobs

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def _end(self, ended: Ended) -> None:
        self.ended = True
        self.usage = ended.usage
        finished = all(choice.finish_reason is not None for choice in self._choices.values())
        self.error = end_error(ended, finished=bool(self._choices) and finished)
