"""What each door's dialect costs a chunk, of whatever kind; the platform's limit is LIMIT_US."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Final

from benchmarks.micro.material import CREATED, JOB_ID, MODEL
from benchmarks.micro.timing import Timing, timed
from ingress.answer import Writer
from ingress.translate.anthropic import MessagesStreamWriter
from ingress.translate.openai_chat import StreamWriter
from ingress.translate.openai_completions import CompletionStreamWriter
from ingress.translate.openai_responses import ResponsesStreamWriter, head, parse
from schemas.chunks import Chunk, ReasoningDelta, TextDelta, ToolCallDelta

LIMIT_US: Final = 50.0

KINDS: Final[Mapping[str, tuple[Chunk, Chunk]]] = {
    "text": (TextDelta("The"), TextDelta(" tide")),
    "reasoning": (ReasoningDelta("The"), ReasoningDelta(" tide")),
    "a tool call's piece": (ToolCallDelta(0, "", "call_1", "tide"), ToolCallDelta(0, '{"at":')),
}
"""What opens a part of an answer, and what it then goes on with."""


def measure() -> Iterator[Timing]:
    for kind, (first, more) in KINDS.items():
        for door, writer in _writers().items():
            writer.write([first])
            yield timed(f"{door}: {kind}, a chunk (limit {LIMIT_US:.0f})", partial(writer.write, [more]))


def _writers() -> dict[str, Writer]:
    asked = parse(b'{"model": "my-model", "input": "Say something about the sea."}')
    response = head(asked, MODEL.id, JOB_ID, CREATED, store=True)
    return {
        "/v1/chat/completions": StreamWriter(JOB_ID, MODEL.id, CREATED, include_usage=True),
        "/v1/completions": CompletionStreamWriter(JOB_ID, MODEL.id, CREATED, include_usage=True),
        "/v1/messages": MessagesStreamWriter(JOB_ID, MODEL.id, 10),
        "/v1/responses": ResponsesStreamWriter(response, lambda: CREATED),
    }
