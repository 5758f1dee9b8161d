"""Messages of a chat completion as turns of a canonical conversation, one for one."""

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

import msgspec

from ingress.translate import data_uri
from schemas.chat import CacheMark, Document, Image, Message, Part, Refusal, Role, Text, Thinking, ToolCall, ToolResult
from schemas.wire import openai_chat as wire
from schemas.wire import openai_parts

ROLES: Final[dict[wire.WireRole, Role]] = {
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "user",
    "function": "user",
}

PDF: Final = "application/pdf"


def messages_of(messages: Iterable[wire.Message]) -> tuple[Message, ...]:
    return tuple(Message(ROLES[each.role], tuple(_parts(each)), each.name) for each in messages)


def mark(control: openai_parts.CacheControl | None) -> CacheMark | None:
    """A mark without a word of how long is for five minutes."""
    return None if control is None else CacheMark(control.ttl or "5m")


def _parts(message: wire.Message) -> Iterator[Part]:
    content: list[Text | Refusal | Image | Document]
    if isinstance(message.content, str):
        content = [Text(message.content)]
    else:
        content = [made for _, part in message.parts() if (made := _part(part)) is not None]
    whole = mark(message.cache_control)
    if message.role == "tool":
        said = tuple(part for part in content if isinstance(part, Text | Image | Document))
        yield ToolResult(message.tool_call_id or "", said, cache=whole)
        return
    thought = message.reasoning_content or message.reasoning
    if thought and message.role == "assistant":
        yield Thinking(thought)
    parts = [*content, *_said_otherwise(message)]
    if whole is not None and parts and not isinstance(parts[-1], Refusal):
        parts[-1] = msgspec.structs.replace(parts[-1], cache=whole)
    yield from parts


def _said_otherwise(message: wire.Message) -> Iterator[Refusal | ToolCall]:
    if message.refusal is not None:
        yield Refusal(message.refusal)
    for call in message.tool_calls or ():
        yield ToolCall(call.id, call.function.name, call.function.arguments)


def _part(part: openai_parts.Part) -> Text | Refusal | Image | Document | None:
    match part:
        case openai_parts.TextPart(text=text):
            return Text(text, _mark_of(part))
        case openai_parts.RefusalPart(refusal=refusal):
            return Refusal(refusal)
        case openai_parts.ImagePart(image_url=image):
            return _image(image, _mark_of(part))
        case openai_parts.FilePart(file=file):
            return _document(file, _mark_of(part))
        case openai_parts.AudioPart() | openai_parts.VideoPart():
            return None
        case _:
            assert_never(part)


def _mark_of(part: openai_parts.Part) -> CacheMark | None:
    """Anthropic's mark, or OpenAI's, which says no time that Anthropic knows."""
    if part.cache_control is None and part.prompt_cache_breakpoint is not None:
        return CacheMark()
    return mark(part.cache_control)


def _image(image: openai_parts.ImageUrl, cache: CacheMark | None) -> Image:
    detail = None if image.detail == "auto" else image.detail
    data = data_uri.split(image.url)
    if data is None:
        return Image(url=image.url, detail=detail, cache=cache)
    return Image(data.media_type, data.base64, detail=detail, cache=cache)


def _document(file: openai_parts.File, cache: CacheMark | None) -> Document:
    """Base64 without a word of what it is is a PDF, the one kind of file that OpenAI's clients send."""
    whole = file.file_data or ""
    data = data_uri.split(whole)
    media_type, base64 = (PDF, whole) if data is None else data
    return Document(media_type, base64, name=file.filename, cache=cache)
