"""The turns of a conversation as messages of chat completions."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from schemas.chat import (
    CacheMark,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from schemas.dialects import OPENAI_CHAT

Body = dict[str, Any]


class Telling(msgspec.Struct, frozen=True):
    """Where upstreams differ in how they are told what was said.

    `marks` sends cache marks along. `earlier_reasoning` is the field for what the model thought in earlier turns; most
    models are not to see it again.
    """

    developer_role: Literal["system", "developer"] = "system"
    earlier_reasoning: Literal["reasoning_content", "reasoning"] | None = None
    marks: bool = False


def messages_of(messages: Iterable[Message], telling: Telling) -> list[Body]:
    """Results of tools become messages of their own, before what else their turn says.

    A tool's message has no room for images, so those follow in a user's message, once all results are told: nothing may
    stand between them.
    """
    told: list[Body] = []
    seen: list[Part] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        rest = [part for part in message.parts if not isinstance(part, ToolResult)]
        if seen and message.role != "user":
            told.append({"role": "user", "content": _content(seen, telling)})
            seen = []
        for result in results:
            told.append(_result(result, telling))
            seen += [part for part in result.parts if not isinstance(part, Text)]
        if rest or not results:
            told.append(_message(message, [*seen, *rest], telling))
            seen = []
    if seen:
        told.append({"role": "user", "content": _content(seen, telling)})
    return told


def _message(message: Message, parts: Sequence[Part], telling: Telling) -> Body:
    role = telling.developer_role if message.role == "developer" else message.role
    fields: Body = {"role": role, "content": _content(parts, telling)}
    if message.name is not None:
        fields["name"] = message.name
    if message.role == "assistant":
        calls = [_call(part) for part in parts if isinstance(part, ToolCall)]
        if calls:
            fields["tool_calls"] = calls
            fields["content"] = fields["content"] or None
        thought = "".join(part.text for part in parts if isinstance(part, Thinking))
        if thought and telling.earlier_reasoning is not None:
            fields[telling.earlier_reasoning] = thought
    return fields


def _result(result: ToolResult, telling: Telling) -> Body:
    texts = [part for part in result.parts if isinstance(part, Text)]
    if texts and result.cache is not None:
        texts[-1] = msgspec.structs.replace(texts[-1], cache=result.cache)
    return {"role": "tool", "tool_call_id": result.call_id, "content": _content(texts, telling)}


def _call(call: ToolCall) -> Body:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _content(parts: Sequence[Part], telling: Telling) -> Any:
    """A string where one text is all there is, for some servers read nothing else."""
    blocks = [block for part in parts if (block := _block(part, telling)) is not None]
    if not blocks:
        return ""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]
    return blocks


def _block(part: Part, telling: Telling) -> Body | None:
    match part:
        case Text(text=text, cache=cache):
            return {"type": "text", "text": text} | _mark(cache, telling)
        case Refusal(text=text):
            # OpenAI alone has another word for it.
            return {"type": "text", "text": text}
        case Image(cache=cache):
            return {"type": "image_url", "image_url": _image(part)} | _mark(cache, telling)
        case Document(text=str(text), name=name, cache=cache):
            return {"type": "text", "text": text if name is None else f"{name}\n\n{text}"} | _mark(cache, telling)
        case Document(cache=cache):
            return {"type": "file", "file": _file(part)} | _mark(cache, telling)
        case Opaque(dialect=dialect, body=body) if dialect == OPENAI_CHAT:
            return body
        case _:
            return None


def _mark(cache: CacheMark | None, telling: Telling) -> Body:
    if cache is None or not telling.marks:
        return {}
    return {"cache_control": {"type": "ephemeral", "ttl": cache.ttl}}


def _image(image: Image) -> Body:
    url = image.url if image.data is None else f"data:{image.media_type};base64,{image.data}"
    return {"url": url} if image.detail is None else {"url": url, "detail": image.detail}


def _file(document: Document) -> Body:
    if document.data is None:
        return {"file_url": document.url}
    return {
        "filename": document.name or "document.pdf",
        "file_data": f"data:{document.media_type};base64,{document.data}",
    }
