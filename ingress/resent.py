"""What tells whether a request was sent before, and what passes between it and its route while it is done once."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

MOST_KEPT_BYTES: Final = 32 * 1024 * 1024
"""Of an answer's body."""

STREAM: Final = "text/event-stream"
FORM: Final = "multipart/form-data"
KEPT_HEADERS: Final = frozenset({"content-type", "content-disposition", "location", "openai-poll-after-ms"})
"""What of an answer's head is said again; the rest tells of the moment: the request's id, its limits, its time."""


async def read_ahead(receive: Receive, most_bytes: int, patience_s: float) -> list[Message]:
    """The messages of a body, up to a size and for a while: what is missing then, the route reads, or refuses."""
    messages: list[Message] = []
    size_bytes = 0
    try:
        async with asyncio.timeout(patience_s):
            while size_bytes <= most_bytes:
                message = await receive()
                messages.append(message)
                if message["type"] != "http.request" or not message.get("more_body", False):
                    break
                size_bytes += len(message.get("body", b""))
    except TimeoutError:
        # The route has the same patience once more, and answers 408.
        messages = messages or [{"type": "http.request", "body": b"", "more_body": True}]
    return messages


def fingerprint(scope: Scope, headers: Headers, body: list[Message], models: Collection[str] | None = None) -> str:
    """The same for a request that is sent again, and for no other.

    `models` are those that its access key opens: an answer is not for an access key that might not have got it itself.
    Clients part a form by another boundary each time, so that is left out.
    """
    content_type, content = headers.get("content-type", ""), b"".join(each.get("body", b"") for each in body)
    if content_type.partition(";")[0].strip().lower() == FORM:
        boundary = content_type.partition("boundary=")[2].partition(";")[0].strip(' "')
        if boundary:
            content = content.replace(boundary.encode("latin-1"), b"")
        content_type = FORM
    digest = hashlib.sha256()
    opened = b"" if models is None else msgspec.json.encode(sorted(models))
    for part in (
        scope["method"].encode(),
        scope["path"].encode(),
        scope["query_string"],
        content_type.encode(),
        opened,
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    digest.update(content)
    return digest.hexdigest()


class Replayed:
    """A request's messages for its route: those read ahead first.

    That the client left is kept from the route, so that the answer is there when it comes back, until `let_leave`:
    nobody comes back for a stream.
    """

    def __init__(self, ahead: list[Message], receive: Receive) -> None:
        self._ahead = deque(ahead)
        self._receive = receive
        self._may_leave = asyncio.Event()

    async def receive(self) -> Message:
        message = self._ahead.popleft() if self._ahead else await self._receive()
        if message["type"] == "http.disconnect":
            await self._may_leave.wait()
        return message

    def let_leave(self) -> None:
        self._may_leave.set()


class Recorded:
    """An answer on its way to the client, and what is kept of it."""

    def __init__(self, send: Send, on_stream: Callable[[], None]) -> None:
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self._send = send
        self._on_stream = on_stream
        self._pieces: list[bytes] | None = []
        self._size_bytes = 0
        self._complete = False

    @property
    def good(self) -> bool:
        """Whether something was done: what was refused, or failed as a whole, was not."""
        return 200 <= self.status < 300

    @property
    def body(self) -> bytes | None:
        """None for a stream, for what is too large, and for what broke off."""
        return b"".join(self._pieces) if self._pieces is not None and self._complete else None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._begin(message["status"], Headers(raw=message.get("headers", [])))
        elif message["type"] == "http.response.body":
            self._add(message.get("body", b""), more=message.get("more_body", False))
        await self._send(message)

    def _begin(self, status: int, headers: Headers) -> None:
        self.status = status
        self.headers = tuple((name, value) for name, value in headers.items() if name in KEPT_HEADERS)
        if headers.get("content-type", "").startswith(STREAM):
            self._pieces = None
            self._on_stream()

    def _add(self, piece: bytes, *, more: bool) -> None:
        self._complete = not more
        if self._pieces is None:
            return
        self._size_bytes += len(piece)
        if self._size_bytes > MOST_KEPT_BYTES:
            self._pieces = None
        else:
            self._pieces.append(bytes(piece))
