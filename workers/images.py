"""Images and documents that a chat names by URL: fetched here, for engines that are to get them as data."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from schemas.chat import Chat, Document, Image, Message, Part, ToolResult
from schemas.errors import BodyTooLarge, InvalidRequest
from schemas.images import MAX_IMAGE_BYTES, MAX_URLS, image_type
from workers.fetch import Fetcher

MAX_DOCUMENT_BYTES: Final = 32 * 1024 * 1024
MAX_TOTAL_BYTES: Final = 64 * 1024 * 1024
"""Of all that one chat names; about what a provider takes in one request."""

Named = Image | Document


class Inliner:
    """Puts what URLs lead to in their place."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def inline(self, chat: Chat) -> Chat:
        """The chat with data where it had URLs. Raises InvalidRequest and BodyTooLarge, in words for the caller."""
        named: dict[tuple[type[Named], str | None], Named] = {}
        for part in _named(chat):
            named.setdefault((type(part), part.url), part)
        if not named:
            return chat
        if len(named) > MAX_URLS:
            raise InvalidRequest(f"{len(named)} images and documents are named by URL; {MAX_URLS} are the most.")
        fetching = {key: asyncio.create_task(self._fetched(part)) for key, part in named.items()}
        try:
            fetched = dict(zip(fetching, await asyncio.gather(*fetching.values()), strict=True))
        finally:
            for task in fetching.values():
                task.cancel()
            await asyncio.gather(*fetching.values(), return_exceptions=True)
        if sum(len(part.data or "") for part in fetched.values()) * 3 // 4 > MAX_TOTAL_BYTES:
            raise BodyTooLarge(f"All that is named by URL is larger than {MAX_TOTAL_BYTES} bytes together.")
        return _replaced(chat, fetched)

    async def check(self, chat: Chat) -> Chat:
        """The chat as it is, for providers that fetch. Raises InvalidRequest for a URL that is not public at a look."""
        for part in _named(chat):
            try:
                self._fetcher.check(part.url or "")
            except InvalidRequest as error:
                raise _placed(error, part) from error
        return chat

    async def _fetched(self, part: Named) -> Named:
        url = part.url or ""
        most_bytes = MAX_IMAGE_BYTES if isinstance(part, Image) else MAX_DOCUMENT_BYTES
        try:
            body = await self._fetcher.get(url, most_bytes)
        except InvalidRequest as error:
            raise _placed(error, part) from error
        kind = image_type(body) if isinstance(part, Image) else _document_type(body)
        if kind is None:
            what = "a PNG, JPEG, WEBP or GIF image" if isinstance(part, Image) else "a PDF"
            raise _placed(InvalidRequest(f"What '{url[:200]}' leads to is not {what}."), part)
        return msgspec.structs.replace(part, url=None, media_type=kind, data=base64.b64encode(body).decode())


def _placed(error: InvalidRequest, part: Named) -> InvalidRequest:
    """The same error, naming the part whose URL it is about."""
    if part.place is None:
        return error
    return type(error)(f"'{part.place}': {error.message}", param=part.place)


def _document_type(body: bytes) -> str | None:
    return "application/pdf" if body.startswith(b"%PDF") else None


def _named(chat: Chat) -> Iterator[Named]:
    for message in chat.messages:
        for part in message.parts:
            inner = part.parts if isinstance(part, ToolResult) else (part,)
            for each in inner:
                if isinstance(each, Image | Document) and each.url is not None:
                    yield each


def _replaced(chat: Chat, fetched: Mapping[tuple[type[Named], str | None], Named]) -> Chat:
    def with_data(part: Part) -> Part:
        match part:
            case Image(url=str(url)) | Document(url=str(url)):
                found = fetched[type(part), url]
                return msgspec.structs.replace(part, url=None, media_type=found.media_type, data=found.data)
            case ToolResult(parts=parts):
                inner = tuple(with_data(each) for each in parts)
                return msgspec.structs.replace(part, parts=inner)
            case _:
                return part

    messages = [Message(each.role, tuple(with_data(part) for part in each.parts), each.name) for each in chat.messages]
    return msgspec.structs.replace(chat, messages=tuple(messages))
