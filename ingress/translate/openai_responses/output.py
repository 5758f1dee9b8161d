"""What a response says, as it grows: output items and their parts, each with its place."""

from collections.abc import Mapping
from typing import Any, Final, Literal

PartType = Literal["output_text", "refusal", "reasoning_text"]
ItemType = Literal["message", "reasoning", "function_call"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]

ID_PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
}


class Part:
    """One part of an item's content: text that came in pieces."""

    __slots__ = ("index", "item", "logprobs", "pieces", "type")

    def __init__(self, item: "Item", kind: PartType) -> None:
        self.item = item
        self.type = kind
        self.index = len(item.parts)
        self.pieces: list[str] = []
        self.logprobs: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    def body(self) -> dict[str, Any]:
        match self.type:
            case "output_text":
                return {"type": self.type, "text": self.text, "annotations": [], "logprobs": self.logprobs}
            case "refusal":
                return {"type": self.type, "refusal": self.text}
            case "reasoning_text":
                return {"type": self.type, "text": self.text}


class Item:
    """One output item.

    A message or reasoning has `parts`; a function call has `call_id`, `name` and the `pieces` of its arguments, which
    may come out half-formed: they are the model's own. `encrypted` is what a reasoning's provider knows it again by.
    """

    __slots__ = ("call_id", "encrypted", "id", "index", "name", "parts", "pieces", "status", "type")

    def __init__(self, kind: ItemType, number: str, index: int) -> None:
        self.type = kind
        self.id = item_id(ID_PREFIXES[kind], number, "o", index)
        self.index = index
        self.status: ItemStatus = "in_progress"
        self.parts: list[Part] = []
        self.encrypted: str | None = None
        self.call_id = ""
        self.name = ""
        self.pieces: list[str] = []

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    def body(self) -> dict[str, Any]:
        head = {"id": self.id, "type": self.type, "status": self.status}
        match self.type:
            case "message":
                return {**head, "role": "assistant", "content": [part.body() for part in self.parts]}
            case "reasoning":
                content = [part.body() for part in self.parts]
                reasoning = {**head, "summary": [], "content": content}
                return reasoning if self.encrypted is None else {**reasoning, "encrypted_content": self.encrypted}
            case "function_call":
                return {**head, "call_id": self.call_id, "name": self.name, "arguments": self.arguments}


def item_id(prefix: str, number: str, side: Literal["i", "o"], index: int) -> str:
    """An item's id holds its response's number, so that a reference to it finds the response it stands in."""
    return f"{prefix}_{number}{side}{index:x}"
