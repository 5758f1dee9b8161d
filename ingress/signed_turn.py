"""An assistant's turn whose signed thinking its client cannot carry: gathered as it is said, put back as it returns.

Anthropic's models go on thinking after a tool's result only if they find their own thinking before the call, signature
and all (its page on extended thinking with tool use, 2026-11).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from schemas.chat import Message, Part, RedactedThinking, Thinking, ToolCall
from schemas.chunks import (
    AnsweredBy,
    Chunk,
    Ended,
    ReasoningDelta,
    RedactedReasoning,
    Signature,
    TextDelta,
    ToolCallDelta,
)

Signed = Thinking | RedactedThinking


class Called(msgspec.Struct, frozen=True, array_like=True):
    """A tool call, by which the turn is known again, and the thinking that came right before it."""

    id: str
    name: str
    arguments: str
    before: tuple[Signed, ...] = ()


class KeptTurn(msgspec.Struct, frozen=True, array_like=True):
    """A turn's thinking: what came before all else, and what came before each call after that."""

    lead: tuple[Signed, ...]
    calls: tuple[Called, ...]


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(KeptTurn)
PARSE: Final = msgspec.json.Decoder().decode


class SignedTurn:
    """Gathers the turn of one answer; an engine that signs thinking gives one choice.

    `model` is the one that answers, whose signatures they are.
    """

    def __init__(self, model: str) -> None:
        self.model = model
        self._thought: list[str] = []
        self._signed: list[Signed] = []
        self._lead: tuple[Signed, ...] | None = None
        self._calls: dict[int, tuple[ToolCallDelta, tuple[Signed, ...], list[str]]] = {}
        self._completed = False

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            match chunk:
                case ReasoningDelta(text=text):
                    self._thought.append(text)
                case Signature(signature=signature):
                    self._signed.append(Thinking("".join(self._thought), signature))
                    self._thought.clear()
                case RedactedReasoning(data=data):
                    self._signed.append(RedactedThinking(data))
                case TextDelta():
                    self._said()
                case ToolCallDelta():
                    self._called(chunk)
                case AnsweredBy(model=model):
                    self.model = model
                case Ended(end=end):
                    self._completed = end == "completed"
                case _:
                    pass

    def kept(self) -> KeptTurn | None:
        """What has to be kept of a turn that is complete; None of one without calls or without signed thinking.

        Of one that went on thinking after its last call nothing is: there is no place to put that back to.
        """
        if not self._completed or not self._calls or self._signed:
            return None
        calls = [
            Called(first.id or "", first.name or "", "".join(pieces), before)
            for first, before, pieces in self._calls.values()
        ]
        if not self._lead and not any(call.before for call in calls):
            return None
        return KeptTurn(self._lead or (), tuple(calls)) if all(call.id for call in calls) else None

    def _said(self) -> None:
        """What was thought first stands first, whatever follows it; unsigned thinking nobody wants back."""
        self._thought.clear()
        if self._lead is None:
            self._lead = tuple(self._signed)
            self._signed.clear()

    def _called(self, delta: ToolCallDelta) -> None:
        if delta.index not in self._calls:
            self._said()
            self._calls[delta.index] = (delta, tuple(self._signed), [])
            self._signed.clear()
        self._calls[delta.index][2].append(delta.arguments)


def first_call(message: Message) -> str | None:
    """The id by which a turn is looked for; None where none is missing: no calls, or signed thinking beside them."""
    if message.role != "assistant" or any(_is_signed(part) for part in message.parts):
        return None
    return next((part.id for part in message.parts if isinstance(part, ToolCall)), None)


def restored(message: Message, kept: bytes) -> Message | None:
    """The message with its thinking as it was; None if it is not the turn that was kept, or none that can be read."""
    try:
        turn = DECODER.decode(kept)
    except msgspec.DecodeError:
        return None
    calls = {call.id: call for call in turn.calls}
    parts: list[Part] = [*turn.lead]
    for part in message.parts:
        if isinstance(part, ToolCall):
            call = calls.get(part.id)
            if call is None or call.name != part.name or not _same(call.arguments, part.arguments):
                return None
            parts += call.before
        if not isinstance(part, Thinking):
            parts.append(part)
    return Message(message.role, tuple(parts), message.name)


def _is_signed(part: Part) -> bool:
    return isinstance(part, RedactedThinking) or (isinstance(part, Thinking) and part.signature is not None)


def _same(said: str, returned: str) -> bool:
    """Whether arguments are the same, though a client may have written them anew."""
    return said == returned or _value(said) == _value(returned)


def _value(arguments: str) -> Any:
    """What the arguments say; their text where they are no JSON."""
    try:
        return PARSE(arguments or "{}")
    except msgspec.DecodeError:
        return arguments
