"""A scripted upstream that speaks chat completions over real HTTP, well or badly, as a test tells it to."""

import asyncio
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

WAIT_S: Final = 30.0
"""How long a test waits for what must come."""

DONE: Final = b"data: [DONE]\n\n"


class Cut:
    """A step: the connection is reset."""


CUT: Final = Cut()

Step = bytes | asyncio.Event | Cut | float
"""What a reply does next: send a piece, wait for the test to say go on, break the connection, or rest for seconds."""


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `steps` are sent piece by piece, each as an HTTP chunk and a write of its own."""

    steps: Sequence[Step]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/event-stream; charset=utf-8"})


@dataclass(frozen=True)
class Asked:
    """One request that came in; `held` is set when its answer waits for the test, `gone` when its connection ended."""

    target: str
    headers: Mapping[str, str]
    body: Any
    gone: asyncio.Event
    held: asyncio.Event = field(default_factory=asyncio.Event)


def event(payload: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def chunk(*choices: Mapping[str, Any], **extra: Any) -> bytes:
    """One `chat.completion.chunk`, with every field that the specification requires."""
    return event(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1763800000,
            "model": "scripted",
            "choices": list(choices),
            **extra,
        }
    )


def opening(choice: int = 0) -> bytes:
    return chunk({"index": choice, "delta": {"role": "assistant", "content": ""}, "finish_reason": None})


def text(content: str, choice: int = 0, **extra: Any) -> bytes:
    return chunk({"index": choice, "delta": {"content": content}, "finish_reason": None, **extra})


def finish(reason: str = "stop", choice: int = 0) -> bytes:
    return chunk({"index": choice, "delta": {}, "finish_reason": reason})


def usage(input_tokens: int, output_tokens: int, cached_tokens: int = 0, reasoning_tokens: int = 0) -> bytes:
    return chunk(
        usage={
            "prompt_tokens": input_tokens,
            "completion_tokens": output_tokens,
            "total_tokens": input_tokens + output_tokens,
            "prompt_tokens_details": {"cached_tokens": cached_tokens},
            "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
        }
    )


def answer(*pieces: str, input_tokens: int = 7) -> Reply:
    """A whole, well-behaved stream: one token a piece."""
    texts = [text(piece) for piece in pieces]
    return Reply([opening(), *texts, finish(), usage(input_tokens, len(pieces)), DONE])


def refusal(status: int, error: Mapping[str, Any], **headers: str) -> Reply:
    """An HTTP error with OpenAI's envelope."""
    return Reply([json.dumps({"error": error}).encode()], status, {"Content-Type": "application/json", **headers})


class Upstream:
    """An HTTP server on a free port of 127.0.0.1; answers with `replies` in turn, then with `otherwise`."""

    def __init__(self) -> None:
        self.replies: deque[Reply] = deque()
        self.otherwise = answer("Hello", " there")
        self.asked: list[Asked] = []
        self.mute = False
        """Takes requests and answers nothing, not even headers."""
        self.drops_kept_connections = False
        """Resets a connection when it is used a second time, as if it had been closed just before."""
        self.port = 0
        """Its own once it runs; one that is started again has the same."""
        self.health = 200
        """What it answers at /health, which is no request of a test; nor is one for /metrics, which it has none of."""
        self._answered = 0
        self._changed = asyncio.Condition()
        self._connections: set[_Connection] = set()

    def reset(self) -> None:
        """As if nothing had been asked yet; connections stay."""
        self.replies.clear()
        self.otherwise = answer("Hello", " there")
        self.asked.clear()
        self.mute = False
        self.health = 200
        self._answered = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *replies: Reply) -> None:
        self.replies.extend(replies)

    async def arrived(self, count: int) -> Asked:
        """The request with this number, counted from 1, once it is there."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.asked) >= count)
        return self.asked[count - 1]

    async def answered(self, count: int) -> None:
        """Returns once so many answers were sent to their end."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: self._answered >= count)

    async def note_asked(self, asked: Asked) -> None:
        self.asked.append(asked)
        async with self._changed:
            self._changed.notify_all()

    async def note_answered(self) -> None:
        self._answered += 1
        async with self._changed:
            self._changed.notify_all()

    def next_reply(self) -> Reply:
        return self.replies.popleft() if self.replies else self.otherwise

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(
            self._connect, "127.0.0.1", self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for connection in list(self._connections):
            await connection.end()
        await self._server.wait_closed()

    def _connect(self) -> "_Connection":
        return _Connection(self, self._connections)


class _Connection(asyncio.Protocol):
    """One client's connection: requests in, scripted bytes out."""

    def __init__(self, upstream: Upstream, peers: set["_Connection"]) -> None:
        self._upstream = upstream
        self._peers = peers
        self._received = bytearray()
        self._gone = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._used = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peers.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not blank:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if len(rest) < int(headers.get("content-length", "0")):
            return
        self._received.clear()
        if self._used and self._upstream.drops_kept_connections:
            self._transport.abort()
            return
        self._used = True
        status = {"/health": self._upstream.health, "/metrics": 404}.get(first.split(" ")[1])
        if status is not None:
            self._transport.write(f"HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\n\r\n".encode())
            return
        asked = Asked(first.split(" ")[1], headers, json.loads(rest) if rest else None, self._gone)
        self._task = asyncio.create_task(self._answer(asked))

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone.set()
        self._peers.discard(self)
        if self._task is not None:
            self._task.cancel()

    async def end(self) -> None:
        self._transport.abort()
        await self._gone.wait()

    async def _answer(self, asked: Asked) -> None:
        await self._upstream.note_asked(asked)
        if self._upstream.mute:
            return
        reply = self._upstream.next_reply()
        head = [f"HTTP/1.1 {reply.status} Scripted", "Transfer-Encoding: chunked"]
        head += [f"{name}: {value}" for name, value in reply.headers.items()]
        self._transport.write("\r\n".join((*head, "", "")).encode("latin-1"))
        for step in reply.steps:
            match step:
                case Cut():
                    self._transport.abort()
                    return
                case asyncio.Event():
                    asked.held.set()
                    await step.wait()
                case float():
                    await asyncio.sleep(step)
                case _:
                    self._transport.write(b"%x\r\n%b\r\n" % (len(step), step))
                    # A write of its own for every piece, so that the client can see each alone.
                    await asyncio.sleep(0)
        self._transport.write(b"0\r\n\r\n")
        await self._upstream.note_answered()
