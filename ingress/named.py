"""Images and documents that a chat names by URL: where the request has them, for whoever finds one wrong later."""

import msgspec

from ingress.turns import Place
from schemas.chat import Chat, Document, Image, Message, Part, ToolResult
from schemas.images import MAX_URLS


def with_places(chat: Chat, place: Place) -> Chat:
    """The chat whose parts with a URL know their place; of those with the same URL the first, which stands for all.

    No more are told theirs than a chat may have fetched.
    """
    seen: set[str] = set()

    def told(part: Part, number: int, index: int) -> Part:
        match part:
            case Image(url=str(url)) | Document(url=str(url)) if url not in seen and len(seen) < MAX_URLS:
                seen.add(url)
                return msgspec.structs.replace(part, place=place(chat, number, index))
            case ToolResult(parts=parts) if any(map(_by_url, parts)):
                # Where a result's own parts stand, no dialect's place tells.
                return msgspec.structs.replace(part, parts=tuple(told(inner, number, index) for inner in parts))
            case _:
                return part

    messages = list(chat.messages)
    for number, message in enumerate(messages):
        if any(map(_by_url, message.parts)):
            parts = tuple(told(part, number, index) for index, part in enumerate(message.parts))
            messages[number] = Message(message.role, parts, message.name)
    return msgspec.structs.replace(chat, messages=tuple(messages)) if seen else chat


def _by_url(part: Part) -> bool:
    match part:
        case Image(url=str()) | Document(url=str()):
            return True
        case ToolResult(parts=parts):
            return any(map(_by_url, parts))
        case _:
            return False
