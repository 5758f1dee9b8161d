"""An upstream that runs so many requests at once and lets the others wait, as vLLM does, and tells of it as vLLM does.

Run as `python -m benchmarks.seated PORT SEATS PACE_S MOST_WAITING`; it prints the port it listens on, then serves chat
completions of CHUNKS tokens, PACE_S apart, on 127.0.0.1 until it is told to stop. Above MOST_WAITING it answers 503.
Beside `/v1` stand `/metrics` and `/health`, and `/counts` for whoever measures.
"""

import asyncio
import sys
import time
from collections import deque
from contextlib import suppress
from typing import Final, cast

import httptools
import msgspec
import uvloop

from benchmarks.instant import COMPLETION, HOST, PIECES, STREAM_END, STREAM_HEAD, Asked, whole

MODEL: Final = "seated"
CHUNKS: Final = len(PIECES)

BUSY: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Content-Length: 79\r\n\r\n"
    b'{"error":{"message":"Too many requests wait.","type":"overloaded","code":null}}'
)

# As vLLM 0.32 writes them, 2026-11.
METRICS: Final = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="{model}"}} {running:.1f}
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{engine="0",model_name="{model}"}} {waiting:.1f}
# HELP vllm:num_requests_waiting_by_reason Number of waiting requests by reason.
# TYPE vllm:num_requests_waiting_by_reason gauge
vllm:num_requests_waiting_by_reason{{engine="0",model_name="{model}",reason="capacity"}} {waiting:.1f}
# HELP vllm:kv_cache_usage_perc KV-cache usage. 1 means 100 percent usage.
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{engine="0",model_name="{model}"}} {share}
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{{engine="0",model_name="{model}"}} {prompt:.1f}
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{{engine="0",model_name="{model}"}} {generated:.1f}
"""


class Counts(msgspec.Struct):
    """What the engine has seen since it was asked last; `most_waiting` at one time, `finished` to their end.

    `seated_s` is for how long its seats were taken, each by itself.
    """

    asked: int = 0
    finished: int = 0
    refused: int = 0
    most_running: int = 0
    most_waiting: int = 0
    seated_s: float = 0.0


class Engine:
    """Seats, and the line before them."""

    def __init__(self, seats: int, pace_s: float, most_waiting: int = sys.maxsize) -> None:
        self.seats = seats
        self.pace_s = pace_s
        self.tells = True
        """Whether there are metrics."""
        self.counts = Counts()
        self.most_waiting = most_waiting
        self._running = 0
        self._counted_at = time.perf_counter()
        self._line: deque[asyncio.Future[None]] = deque()
        self._prompts = 0
        self._tokens = 0

    @property
    def running(self) -> int:
        return self._running

    @property
    def waiting(self) -> int:
        return len(self._line)

    @property
    def full(self) -> bool:
        return self._running >= self.seats and len(self._line) >= self.most_waiting

    async def sit(self) -> None:
        if self._running < self.seats:
            self._seat(1)
        else:
            mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._line.append(mine)
            self.counts.most_waiting = max(self.counts.most_waiting, len(self._line))
            try:
                await mine
            except asyncio.CancelledError:
                if mine.cancelled():
                    with suppress(ValueError):
                        self._line.remove(mine)
                else:
                    self.leave()
                raise
        self._prompts += 1
        self.counts.most_running = max(self.counts.most_running, self._running)

    def leave(self) -> None:
        self._seat(-1)
        while self._line and self._running < self.seats:
            first = self._line.popleft()
            if not first.done():
                self._seat(1)
                first.set_result(None)

    def counted(self) -> Counts:
        """The counts, which begin anew."""
        self._seat(0)
        counts, self.counts = self.counts, Counts()
        return counts

    def _seat(self, more: int) -> None:
        now = time.perf_counter()
        self.counts.seated_s += self._running * (now - self._counted_at)
        self._counted_at = now
        self._running += more

    async def token(self) -> None:
        await asyncio.sleep(self.pace_s)
        self._tokens += 1

    def metrics(self) -> str:
        share = self._running / max(1, self.seats) / 2
        return METRICS.format(
            model=MODEL,
            running=self.running,
            waiting=self.waiting,
            share=share,
            prompt=self._prompts * 10,
            generated=self._tokens,
        )

    async def listen(self, port: int) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(lambda: _Connection(self), HOST, port, backlog=1024)


class _Connection(asyncio.Protocol):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._parser = httptools.HttpRequestParser(self)
        self._body = bytearray()
        self._url = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""
        self._body.clear()

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            self._transport.write(self._told())
            return
        self._engine.counts.asked += 1
        if self._engine.full:
            self._engine.counts.refused += 1
            self._transport.write(BUSY)
            return
        asked = msgspec.json.decode(bytes(self._body), type=Asked)
        self._task = asyncio.create_task(self._answer(asked.stream))

    def _told(self) -> bytes:
        if self._url == b"/counts":
            return whole(self._engine.counted())
        found = self._url == b"/health" or (self._url == b"/metrics" and self._engine.tells)
        text = self._engine.metrics().encode() if self._url == b"/metrics" and found else b""
        head = f"HTTP/1.1 {200 if found else 404} Told\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
        return f"{head}Content-Length: {len(text)}\r\n\r\n".encode() + text

    async def _answer(self, stream: bool) -> None:
        await self._engine.sit()
        try:
            if stream:
                self._transport.write(STREAM_HEAD)
            for piece in PIECES:
                await self._engine.token()
                if stream:
                    self._transport.write(piece)
        finally:
            self._engine.leave()
        self._transport.write(STREAM_END if stream else COMPLETION)
        self._engine.counts.finished += 1


async def serve(port: int, engine: Engine) -> None:
    server = await engine.listen(port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Engine(int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))))
