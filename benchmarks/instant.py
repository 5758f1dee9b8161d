"""An upstream that answers at once: what is left of a request's time is the gateway's.

Run as `python -m benchmarks.instant PORT`; it prints the port it listens on, then serves chat completions on
127.0.0.1 until it is told to stop. The model `paced` sends its chunks one by one, PACE_S apart, so that a client can
leave in the middle; every other model sends all of them together.
"""

import asyncio
import sys
from typing import Any, Final, cast

import httptools
import msgspec
import uvloop

CHUNKS: Final = 32
PACED: Final = "paced"
PACE_S: Final = 0.02
HOST: Final = "127.0.0.1"

ENCODE: Final = msgspec.json.Encoder().encode
USAGE: Final = {"prompt_tokens": 10, "completion_tokens": CHUNKS, "total_tokens": 10 + CHUNKS}
WORDS: Final = [f" tok{number}" for number in range(CHUNKS)]


class Asked(msgspec.Struct):
    """What the upstream reads of a request."""

    model: str = ""
    stream: bool = False


class Counts(msgspec.Struct):
    """`left` are the streams whose reader went away before their end."""

    asked: int = 0
    finished: int = 0
    left: int = 0


def chunk(**fields: Any) -> bytes:
    """One event of a stream, in an HTTP chunk of its own."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "instant"}
    data = b"data: " + ENCODE({**head, **fields}) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def choice(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}


STREAM_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES: Final = [
    chunk(**choice({"role": "assistant", "content": WORDS[0]})),
    *(chunk(**choice({"content": word})) for word in WORDS[1:]),
]
STREAM_END: Final = chunk(**choice({}, "stop")) + chunk(choices=[], usage=USAGE) + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
STREAM: Final = STREAM_HEAD + b"".join(PIECES) + STREAM_END


def whole(body: object) -> bytes:
    data = ENCODE(body)
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)


COMPLETION: Final = whole(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "instant",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)}, "finish_reason": "stop"}],
        "usage": USAGE,
    }
)


class Connection(asyncio.Protocol):
    """One client: answers each POST, and any GET with the counts."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._next is not None:
            self._next.cancel()
            self._counts.left += 1

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        body = bytes(self._body)
        self._body.clear()
        if self._parser.get_method() == b"GET":
            self._transport.write(whole(self._counts))
            return
        self._counts.asked += 1
        asked = msgspec.json.decode(body, type=Asked)
        if asked.model == PACED:
            self._transport.write(STREAM_HEAD)
            self._pace(0)
            return
        self._transport.write(STREAM if asked.stream else COMPLETION)
        self._counts.finished += 1

    def _pace(self, number: int) -> None:
        if number == CHUNKS:
            self._next = None
            self._transport.write(STREAM_END)
            self._counts.finished += 1
            return
        self._transport.write(PIECES[number])
        self._next = asyncio.get_running_loop().call_later(PACE_S, self._pace, number + 1)


async def serve(port: int) -> None:
    counts = Counts()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(counts), HOST, port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
