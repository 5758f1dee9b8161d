"""Content blocks made canonical."""

from typing import Any, Final

import msgspec

from schemas.chat import (
    CacheMark,
    CacheTtl,
    Document,
    Extras,
    Image,
    Opaque,
    Part,
    RedactedThinking,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from schemas.dialects import ANTHROPIC
from schemas.wire import anthropic as wire

ENCODE: Final = msgspec.json.Encoder().encode
TTLS: Final[dict[str | None, CacheTtl]] = {None: "5m", "5m": "5m", "1h": "1h"}


def parts(content: wire.Content) -> tuple[Part, ...]:
    """The parts of a turn, in their order; none for an empty string, which says nothing."""
    if isinstance(content, str):
        return (Text(content),) if content else ()
    return tuple([part(block) for block in content])


def part(block: wire.Block) -> Part:
    match block:
        case wire.TextBlock(text=text):
            return Text(text, mark(block.cache_control), extras(block))
        case wire.ImageBlock():
            return _image(block)
        case wire.DocumentBlock():
            return _document(block)
        case wire.ThinkingBlock(thinking=thinking, signature=signature):
            return Thinking(thinking, signature or None)
        case wire.RedactedThinkingBlock(data=data):
            return RedactedThinking(data)
        case wire.ToolUseBlock():
            arguments = _arguments(block.input)
            return ToolCall(block.id, block.name, arguments, mark(block.cache_control), extras(block))
        case wire.ToolResultBlock():
            is_error = block.is_error is True
            return ToolResult(
                block.tool_use_id, _results(block.content), is_error, mark(block.cache_control), extras(block)
            )
        case _:
            return Opaque(ANTHROPIC, block)


def mark(control: wire.CacheControl | None) -> CacheMark | None:
    return None if control is None else CacheMark(TTLS.get(control.ttl, "5m"))


def extras(block: wire._Wire) -> Extras | None:
    """What of an object the canonical form has no place for."""
    found = {name: value for name, value in (block.model_extra or {}).items() if value is not None}
    control = getattr(block, "cache_control", None)
    if control is not None and (control.model_extra or control.type != "ephemeral" or control.ttl not in TTLS):
        found["cache_control"] = raw(control)
    return found or None


def raw(value: wire._Wire) -> dict[str, Any]:
    """An object as it came, without its nulls."""
    return value.model_dump(exclude_none=True, by_alias=True)


def _arguments(given: Any) -> str:
    """JSON text; what a model left half-formed came to the client as text and comes back as it was."""
    if isinstance(given, str):
        return given
    return ENCODE({} if given is None else given).decode()


def _image(block: wire.ImageBlock) -> Part:
    cache, own = mark(block.cache_control), extras(block)
    match block.source:
        case wire.Base64Source(media_type=media_type, data=data):
            return Image(media_type=media_type, data=data, cache=cache, extras=own)
        case wire.UrlSource(url=url):
            return Image(url=url, cache=cache, extras=own)
        case _:
            return Opaque(ANTHROPIC, raw(block))


def _document(block: wire.DocumentBlock) -> Part:
    described: dict[str, Any] = {
        "name": block.title,
        "context": block.context,
        "citations": block.citations.enabled if block.citations is not None else None,
        "cache": mark(block.cache_control),
        "extras": extras(block),
    }
    match block.source:
        case wire.Base64Source(media_type=media_type, data=data):
            return Document(media_type=media_type, data=data, **described)
        case wire.TextSource(media_type=media_type, data=text):
            return Document(media_type=media_type, text=text, **described)
        case wire.UrlSource(url=url):
            return Document(url=url, **described)
        case _:
            return Opaque(ANTHROPIC, raw(block))


def _results(content: wire.ResultContent | None) -> tuple[Text | Image | Document | Opaque, ...]:
    if content is None or isinstance(content, str):
        return (Text(content),) if content else ()
    found = [part(block) for block in content]
    return tuple([each for each in found if isinstance(each, Text | Image | Document | Opaque)])
