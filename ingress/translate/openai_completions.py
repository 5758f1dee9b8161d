"""OpenAI's completions, as far as models that are asked by chat can give them: the prompt is what a user says."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import msgspec

from ingress.errors import openai_error_frame
from ingress.translate.ending import end_error
from ingress.translate.one_line import one_line
from ingress.translate.openai_chat.bodies import usage_body
from ingress.translate.sampling import sampling_of
from ingress.translate.validation import read
from schemas.catalog import Model
from schemas.chat import Chat, Message, Text
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
from schemas.wire.openai_completions import CompletionRequest

ENCODE: Final = msgspec.json.Encoder().encode
DONE: Final = b"data: [DONE]\n\n"

DEFAULT_MAX_TOKENS: Final = 16
"""OpenAI's own for this endpoint."""

Logprobs = dict[str, list[Any]]
LOGPROBS: Final = ("tokens", "token_logprobs", "top_logprobs", "text_offset")


def parse(body: bytes) -> CompletionRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(CompletionRequest, body)


def to_chat(request: CompletionRequest, model: Model) -> Chat:
    """One message of a user's; the contract has seen to it that there is one prompt."""
    prompt = request.prompt if isinstance(request.prompt, str) else request.prompt[0]
    messages = (Message("user", (Text(prompt),)),)
    asked = min(DEFAULT_MAX_TOKENS, model.max_output_tokens) if request.max_tokens is None else request.max_tokens
    sampling = sampling_of(
        request,
        asked,
        logit_bias=request.logit_bias,
        logprobs=request.logprobs is not None,
        top_logprobs=request.logprobs,
        choices=request.n,
    )
    return Chat(messages=messages, sampling=sampling, user=request.user)


class _Choice:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.logprobs: Logprobs | None = None
        self.finish_reason: FinishReason | None = None
        self.offset = 0

    def add(self, text: str, tokens: Sequence[dict[str, Any]] | None) -> Logprobs | None:
        """Takes a piece of the text; gives its logprobs in this endpoint's shape, offsets counted in characters."""
        self.texts.append(text)
        if tokens is None:
            self.offset += len(text)
            return None
        new: Logprobs = {name: [] for name in LOGPROBS}
        for token in tokens:
            new["tokens"].append(token["token"])
            new["token_logprobs"].append(token["logprob"])
            new["top_logprobs"].append({top["token"]: top["logprob"] for top in token.get("top_logprobs") or ()})
            new["text_offset"].append(self.offset)
            self.offset += len(token["token"])
        if self.logprobs is None:
            self.logprobs = {name: [] for name in LOGPROBS}
        for name, values in new.items():
            self.logprobs[name] += values
        return new


class _Completion:
    """The choices of one completion as they grow. Reasoning and tool calls have no place in one."""

    def __init__(self, job_id: str, model: str, created: int) -> None:
        self._head = {
            "id": "cmpl-" + job_id.removeprefix("job_"),
            "object": "text_completion",
            "created": created,
            "model": model,
        }
        self._choices: dict[int, _Choice] = {}
        self._ended: Ended | None = None
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if self._ended is not None:
                return
            match chunk:
                case TextDelta(text=text, choice=choice, logprobs=tokens):
                    self._say(choice, text, tokens)
                case RefusalDelta(text=text, choice=choice):
                    self._say(choice, text, None)
                case Finish(reason=reason, choice=choice):
                    self._choice(choice).finish_reason = reason
                    self._finished(choice, reason)
                case Ended():
                    self._end(chunk)
                case AnsweredBy(model=model):
                    self._head["model"] = model
                case ReasoningDelta() | Signature() | RedactedReasoning() | ToolCallDelta():
                    pass
                case OpaquePiece() | UsageReport() | Vectors() | Picture() | Audio():
                    pass
                case _:
                    assert_never(chunk)

    def _say(self, index: int, text: str, tokens: Sequence[dict[str, Any]] | None) -> None:
        self._said(index, text, self._choice(index).add(text, tokens))

    def _choice(self, index: int) -> _Choice:
        return self._choices.setdefault(index, _Choice())

    def _end(self, ended: Ended) -> None:
        self._ended = ended
        finished = all(choice.finish_reason is not None for choice in self._choices.values())
        self.error = end_error(ended, finished=bool(self._choices) and finished)

    def _said(self, index: int, text: str, logprobs: Logprobs | None) -> None: ...

    def _finished(self, index: int, reason: FinishReason) -> None: ...


class CompletionFold(_Completion):
    """Gathers one completion. After the end, either `error` says why there is no reply or `reply` gives it."""

    def reply(self) -> bytes:
        """The body of the whole completion, its choices by index."""
        assert self._ended is not None
        choices = [
            _choice(index, "".join(choice.texts), choice.logprobs, choice.finish_reason)
            for index, choice in sorted(self._choices.items())
        ]
        return ENCODE({**self._head, "choices": choices, "usage": usage_body(self._ended.usage)})


class CompletionStreamWriter(_Completion):
    """Writes one completion's events; a job that failed ends with an error frame and nothing that looks like a stop."""

    def __init__(self, job_id: str, model: str, created: int, include_usage: bool) -> None:
        super().__init__(job_id, model, created)
        self._include_usage = include_usage
        self._events: list[bytes] = []

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given, in its order; complete after every call."""
        self.add(chunks)
        events, self._events = self._events, []
        return b"".join(events)

    def _said(self, index: int, text: str, logprobs: Logprobs | None) -> None:
        self._emit([_choice(index, text, logprobs, None)])

    def _finished(self, index: int, reason: FinishReason) -> None:
        self._emit([_choice(index, "", None, reason)])

    def _end(self, ended: Ended) -> None:
        super()._end(ended)
        if self.error is not None:
            self._events.append(openai_error_frame(self.error))
            return
        if self._include_usage:
            self._emit([], usage_body(ended.usage))
        self._events.append(DONE)

    def _emit(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> None:
        told = {"usage": usage} if self._include_usage else {}
        self._events.append(b"data: " + one_line({**self._head, "choices": choices, **told}) + b"\n\n")


def _choice(index: int, text: str, logprobs: Logprobs | None, reason: FinishReason | None) -> dict[str, Any]:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": reason}
