"""HTTP as uvicorn speaks it, with bounds on a request's head: of itself it takes any length, and waits for ever."""

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEAD_BYTES: Final = 64 * 1024
"""As much as the largest proxies let through."""


class BoundedProtocol(HttpToolsProtocol):
    """Breaks a connection off whose head is too long or too late; nobody has asked for anything by then.

    A head may take `head_s` from its first byte, and the first one of a connection from its beginning.
    """

    head_s: ClassVar[float]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head_bytes = 0
        self._in_head = True
        self._late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._have_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # A body in the same piece of data has ended the head by now.
        if self._in_head and self._head_bytes > MOST_HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._have_head()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def _await_head(self) -> None:
        self._have_head()
        self._in_head = True
        self._late = self.loop.call_later(self.head_s, self.transport.abort)

    def _have_head(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._late is not None:
            self._late.cancel()
            self._late = None


def bounded(patience_s: float) -> type[BoundedProtocol]:
    """The protocol with this patience."""

    class Patient(BoundedProtocol):
        head_s = patience_s

    return Patient
