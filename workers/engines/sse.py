"""Server-sent events as an incremental fold over bytes."""

from typing import Final

from schemas.errors import EngineFailed

MAX_EVENT_BYTES: Final = 4 * 1024 * 1024
"""No token is that long; what is longer is not a stream of tokens."""


class EventData:
    """Gives the `data` of each event that is complete, and keeps the rest for the next bytes.

    Lines end with LF or CRLF; a bare CR ends a line too, but is only looked at when the next LF has come. Comments
    and other fields are passed over.
    """

    __slots__ = ("_data", "_held", "_held_bytes", "_line", "_most_bytes")

    def __init__(self, most_bytes: int = MAX_EVENT_BYTES) -> None:
        self._most_bytes = most_bytes
        self._line = bytearray()
        self._data: bytes | None = None
        self._held: list[bytes] = []
        self._held_bytes = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The events that these bytes complete, in order. Raises EngineFailed where one has more than `most_bytes`."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._line += data
            self._bound()
            return []
        if self._line:
            head = bytes(self._line) + data[:cut]
            self._line.clear()
        else:
            head = data if cut == len(data) else data[:cut]
        if cut != len(data):
            self._line += data[cut:]
        events = self._events(head)
        self._bound()
        return events

    def end(self) -> list[bytes]:
        """What is left when the bytes have ended: an event whose blank line never came."""
        rest = bytes(self._line)
        self._line.clear()
        return self._events(rest + b"\n\n")

    def _events(self, lines: bytes) -> list[bytes]:
        events = []
        for line in lines.splitlines():
            if not line:
                if self._data is not None:
                    events.append(self._take())
            elif line.startswith(b"data:"):
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                if self._data is None:
                    self._data = value
                else:
                    self._held.append(value)
                    self._held_bytes += len(value) + 1
        return events

    def _take(self) -> bytes:
        first = self._data or b""
        self._data = None
        if not self._held:
            return first
        whole = b"\n".join((first, *self._held))
        self._held.clear()
        self._held_bytes = 0
        return whole

    def _bound(self) -> None:
        if len(self._line) + len(self._data or b"") + self._held_bytes > self._most_bytes:
            raise EngineFailed(f"The engine sent an event of more than {self._most_bytes} bytes.")
