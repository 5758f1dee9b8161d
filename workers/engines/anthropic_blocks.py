"""The parts of a turn as Anthropic's content blocks."""

import re
from collections.abc import Iterable
from typing import Any, Final, assert_never

import msgspec

from schemas.chat import (
    CacheMark,
    Document,
    Extras,
    Image,
    Opaque,
    Part,
    RedactedThinking,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from schemas.dialects import ANTHROPIC

Block = dict[str, Any]

DECODE: Final = msgspec.json.Decoder().decode

INVALID_JSON: Final = "INVALID_JSON"
"""Under this name Anthropic wants a model's half-formed arguments back (its page on fine-grained tool streaming)."""

NO_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
"""What may not stand in a call's id; other engines' ids hold dots and colons."""


class Blocks(msgspec.Struct, frozen=True):
    """Writes blocks: cache marks where `cache`, and fields of the dialect's own where `native`, as they came."""

    cache: bool
    native: bool

    def of(self, parts: Iterable[Part]) -> list[Block]:
        return [block for part in parts if (block := self._block(part)) is not None]

    def marked(self, block: Block, cache: CacheMark | None, extras: Extras | None) -> Block:
        """The block with its cache mark and what else stood in it."""
        if cache is not None and self.cache:
            block["cache_control"] = cache_control(cache)
        if extras and self.native:
            block |= extras if self.cache else {k: v for k, v in extras.items() if k != "cache_control"}
        return block

    def _block(self, part: Part) -> Block | None:
        """None for what this dialect has no block for: an empty text, thinking that its provider did not sign."""
        match part:
            case Text(text=text):
                if not text and not self.native:
                    return None
                return self.marked({"type": "text", "text": text}, part.cache, part.extras)
            case Refusal(text=text):
                return {"type": "text", "text": text}
            case Image():
                return self.marked({"type": "image", "source": _image_source(part)}, part.cache, part.extras)
            case Document():
                return self.marked(_document(part), part.cache, part.extras)
            case Thinking(text=text, signature=signature):
                return None if signature is None else {"type": "thinking", "thinking": text, "signature": signature}
            case RedactedThinking(data=data):
                return {"type": "redacted_thinking", "data": data}
            case ToolCall():
                call = {"type": "tool_use", "id": _call_id(part.id), "name": part.name, "input": _input(part.arguments)}
                return self.marked(call, part.cache, part.extras)
            case ToolResult():
                return self._result(part)
            case Opaque(dialect=dialect, body=body):
                return body if dialect == ANTHROPIC else None
            case _:
                assert_never(part)

    def _result(self, result: ToolResult) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": _call_id(result.call_id)}
        content = self.of(result.parts)
        if content:
            block["content"] = content[0]["text"] if is_plain(content) else content
        if result.is_error:
            block["is_error"] = True
        return self.marked(block, result.cache, result.extras)


def cache_control(cache: CacheMark) -> Block:
    return {"type": "ephemeral"} if cache.ttl == "5m" else {"type": "ephemeral", "ttl": cache.ttl}


def is_plain(content: list[Block]) -> bool:
    """Whether the content is one text and nothing else, so that a string says as much."""
    return len(content) == 1 and content[0].keys() == {"type", "text"} and content[0]["type"] == "text"


def _image_source(image: Image) -> Block:
    if image.data is None:
        return {"type": "url", "url": image.url}
    return {"type": "base64", "media_type": image.media_type, "data": image.data}


def _document(document: Document) -> Block:
    if document.text is not None:
        source: Block = {"type": "text", "media_type": "text/plain", "data": document.text}
    elif document.data is not None:
        source = {"type": "base64", "media_type": document.media_type, "data": document.data}
    else:
        source = {"type": "url", "url": document.url}
    block: Block = {"type": "document", "source": source}
    if document.name is not None:
        block["title"] = document.name
    if document.context is not None:
        block["context"] = document.context
    if document.citations is not None:
        block["citations"] = {"enabled": document.citations}
    return block


def _call_id(given: str) -> str:
    return NO_ID.sub("_", given)


def _input(arguments: str) -> Block:
    if not arguments.strip():
        return {}
    try:
        value = DECODE(arguments)
    except msgspec.DecodeError:
        return {INVALID_JSON: arguments}
    return value if isinstance(value, dict) else {INVALID_JSON: arguments}
