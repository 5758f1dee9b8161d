"""The seam where output comes from: one protocol per modality."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol, runtime_checkable

from schemas.chat import Chat
from schemas.chunks import Delta


class TextEngine(Protocol):
    """One model behind one engine.

    `generate` yields deltas in the engine's order, all that were ready together as one batch, so a batch is never
    empty. Every choice ends with a Finish; a UsageReport comes whenever the engine counts and at the latest as the
    last delta. Closing the generator aborts the work inside the engine. Raises the branches of PenstockError only:
    StreamCut when the engine's output stops without a Finish.
    """

    def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]: ...

    async def close(self) -> None: ...


@runtime_checkable
class Bounded(Protocol):
    """An engine that can do no more than `slots` jobs at once, so its lane takes no more."""

    @property
    def slots(self) -> int: ...


@runtime_checkable
class CountsTokens(Protocol):
    """An engine that tells how many tokens a chat's input is, without running it; raises as `generate` does."""

    async def count_tokens(self, chat: Chat) -> int: ...
