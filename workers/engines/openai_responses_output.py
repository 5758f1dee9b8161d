"""What a response's items have given so far, so that nothing is told twice and nothing is left out.

Servers differ in which events they send: some tell arguments or a text only when it is done, some never tell that an
item has begun.
"""

import secrets
from typing import Any

import msgspec

from schemas.chunks import Delta, ReasoningDelta, RedactedReasoning, RefusalDelta, Signature, TextDelta, ToolCallDelta


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None
    refusal: str | None = None


class Item(msgspec.Struct):
    type: str = ""
    id: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    encrypted_content: str | None = None


class _Call:
    __slots__ = ("number", "piecewise")

    def __init__(self, number: int) -> None:
        self.number = number
        self.piecewise = False


class Output:
    """`said` are the items, by their index, of which a text or refusal was told."""

    def __init__(self) -> None:
        self.calls: dict[int, _Call] = {}
        self.said: set[int] = set()
        self._thought: set[int] = set()
        self._thinking: tuple[str, int, int] | None = None

    def begun(self, index: int, item: Item) -> list[Delta]:
        if item.type != "function_call" or index in self.calls:
            return []
        call = self.calls[index] = _Call(len(self.calls))
        call_id = item.call_id or item.id or f"call_{secrets.token_hex(12)}"
        arguments = item.arguments or ""
        call.piecewise = bool(arguments)
        return [ToolCallDelta(call.number, arguments, call_id, item.name or "")]

    def arguments(self, index: int, piece: str) -> list[Delta]:
        call = self.calls.get(index)
        if call is None or not piece:
            return []
        call.piecewise = True
        return [ToolCallDelta(call.number, piece)]

    def all_arguments(self, index: int, arguments: str) -> list[Delta]:
        """Arguments as a whole, which pieces may have told before."""
        call = self.calls.get(index)
        return [] if call is None or call.piecewise else self.arguments(index, arguments)

    def reasoned(self, part: tuple[str, int, int], piece: str) -> list[Delta]:
        """A piece of reasoning; where another part of it begins, a blank line stands between them."""
        if not piece:
            return []
        _, index, _ = part
        before, self._thinking = self._thinking, part
        self._thought.add(index)
        apart = before is not None and before != part and before[1] == index
        return [ReasoningDelta("\n\n" + piece if apart else piece)]

    def ended(self, index: int, item: Item) -> list[Delta]:
        """What of a whole item was not told before."""
        match item.type:
            case "function_call":
                begun = self.begun(index, item)
                return begun or self.all_arguments(index, item.arguments or "")
            case "message" if index not in self.said:
                self.said.add(index)
                return [delta for part in item.content or () for delta in _spoken(part)]
            case "reasoning":
                return self._reasoning(index, item)
            case _:
                return []

    def _reasoning(self, index: int, item: Item) -> list[Delta]:
        deltas: list[Delta] = []
        if index not in self._thought:
            shown = [part.text for part in item.content or item.summary or () if part.text]
            deltas += [ReasoningDelta("\n\n".join(shown))] if shown else []
        if item.encrypted_content:
            thought = bool(deltas) or index in self._thought
            sealed: Any = Signature if thought else RedactedReasoning
            deltas.append(sealed(item.encrypted_content))
        return deltas


def _spoken(part: _Part) -> list[Delta]:
    if part.refusal:
        return [RefusalDelta(part.refusal)]
    return [TextDelta(part.text)] if part.text else []
