"""The turns of a conversation as input items of a response."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Final

from schemas.chat import Document, Image, Message, Part, RedactedThinking, Refusal, Text, Thinking, ToolCall, ToolResult

Item = dict[str, Any]

SPOKEN: Final = (Text, Refusal, Image, Document)


def items_of(messages: Iterable[Message], *, signed_reasoning: bool) -> list[Item]:
    """In the order in which it was said. With `signed_reasoning`, what the provider sealed goes back to it."""
    return [item for message in messages for item in _items(message, signed_reasoning)]


def _items(message: Message, signed_reasoning: bool) -> Iterator[Item]:
    for spoken, group in groupby(message.parts, key=lambda part: isinstance(part, SPOKEN)):
        if spoken:
            yield {"type": "message", "role": message.role, "content": [_part(message, part) for part in group]}
            continue
        for part in group:
            item = _item(part, signed_reasoning)
            if item is not None:
                yield item


def _item(part: Part, signed_reasoning: bool) -> Item | None:
    match part:
        case ToolCall(id=call_id, name=name, arguments=arguments):
            return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments}
        case ToolResult(call_id=call_id):
            return {"type": "function_call_output", "call_id": call_id, "output": _output(part)}
        case Thinking(text=text, signature=str(sealed)) if signed_reasoning:
            summary = [{"type": "summary_text", "text": text}] if text else []
            return {"type": "reasoning", "summary": summary, "encrypted_content": sealed}
        case RedactedThinking(data=sealed) if signed_reasoning:
            return {"type": "reasoning", "summary": [], "encrypted_content": sealed}
        case _:
            return None


def _output(result: ToolResult) -> Any:
    shown = [_input(part) for part in result.parts if isinstance(part, Text | Image | Document)]
    if all(part["type"] == "input_text" for part in shown):
        return "".join(part["text"] for part in shown)
    return shown


def _part(message: Message, part: Part) -> Item:
    match part:
        case Text(text=text) if message.role == "assistant":
            return {"type": "output_text", "text": text, "annotations": []}
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case _:
            return _input(part)


def _input(part: Part) -> Item:
    match part:
        case Image(detail=detail):
            url = part.url if part.data is None else f"data:{part.media_type};base64,{part.data}"
            return {"type": "input_image", "image_url": url, "detail": detail or "auto"}
        case Document(text=str(text), name=name):
            return {"type": "input_text", "text": text if name is None else f"{name}\n\n{text}"}
        case Document(data=None, url=url):
            return {"type": "input_file", "file_url": url}
        case Document(data=data, media_type=media_type, name=name):
            file_data = f"data:{media_type};base64,{data}"
            return {"type": "input_file", "filename": name or "document.pdf", "file_data": file_data}
        case Text(text=text) | Refusal(text=text):
            return {"type": "input_text", "text": text}
        case _:
            raise TypeError(f"{type(part).__name__} is no content of a message")
