"""Engines whose tries are written down, a clock that is wound by hand, and replicas of both."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from schemas.chat import Chat, Message, Text
from schemas.chunks import Delta, Finish, TextDelta
from schemas.errors import PenstockError
from workers.replicas.options import ReplicaOptions
from workers.replicas.replica import Replica
from workers.replicas.replicated import ReplicatedText

WHOLE: Sequence[Sequence[Delta]] = ([TextDelta("a")], [TextDelta("b"), Finish("stop")])
CHAT = Chat((Message("user", (Text("Ahoy"),)),))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scripted:
    """Gives its batches, then raises its failure, if there is one; after what is written down, all is well."""

    def __init__(self) -> None:
        self.failures: deque[tuple[int, Exception]] = deque()
        self.always: Exception | None = None
        self.silent = False
        self.asked: list[str] = []
        self.counted = 0
        self.closed = 0

    def fail(self, *errors: Exception, after: int = 0) -> None:
        """After so many batches."""
        self.failures += [(after, error) for error in errors]

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        self.asked.append(job_id)
        after, failure = self._next()
        try:
            if self.silent:
                await asyncio.Event().wait()
            for batch in WHOLE if failure is None else WHOLE[:after]:
                yield batch
            if failure is not None:
                raise failure
        finally:
            self.closed += 1

    async def count_tokens(self, chat: Chat) -> int:
        _, failure = self._next()
        if failure is not None:
            raise failure
        self.counted += 1
        return 7

    async def close(self) -> None:
        self.closed += 100

    def _next(self) -> tuple[int, Exception | None]:
        if self.failures:
            return self.failures.popleft()
        return 0, self.always


class Row:
    """A model `m` at so many addresses."""

    def __init__(self, count: int, *, prefix_chars: int = 0) -> None:
        self.clock = Clock()
        self.engines = [Scripted() for _ in range(count)]
        self.replicas: list[Replica[Any]] = [
            Replica("m", f"10.0.0.{number}:8000", engine, self.clock) for number, engine in enumerate(self.engines)
        ]
        options = ReplicaOptions(prefix_chars=prefix_chars)
        self.engine = ReplicatedText("m", self.replicas, options)

    async def ask(self, chat: Chat = CHAT, job_id: str = "job") -> list[Sequence[Delta]]:
        async with aclosing(self.engine.generate(job_id, chat)) as batches:
            return [batch async for batch in batches]

    async def failure(self, chat: Chat = CHAT) -> PenstockError | None:
        try:
            await self.ask(chat)
        except PenstockError as error:
            return error
        return None

    @property
    def asked(self) -> list[int]:
        return [len(engine.asked) for engine in self.engines]
