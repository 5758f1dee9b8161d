"""The seam where output comes from: one protocol per modality."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from schemas.chat import Chat
from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineUnavailable
from schemas.media import Draw, Embed, Speak
from schemas.media_chunks import Audio, Vectors

Asks_contra = TypeVar("Asks_contra", contravariant=True)
Gives_co = TypeVar("Gives_co", covariant=True)


class EngineBusy(EngineUnavailable):
    """The engine is there and turned the request away for lack of room; outside a worker, an EngineUnavailable."""


class Engine(Protocol[Asks_contra, Gives_co]):
    """One model behind one engine.

    `generate` yields deltas in the engine's order, all that were ready together as one batch, so a batch is never
    empty. A UsageReport comes whenever the engine counts and at the latest as the last delta. Closing the generator
    aborts the work inside the engine. Raises the branches of PenstockError only.
    """

    def generate(self, job_id: str, asked: Asks_contra, /) -> AsyncGenerator[Sequence[Gives_co], None]: ...

    async def close(self) -> None: ...


TextEngine = Engine[Chat, Delta]
"""Every choice ends with a Finish; raises StreamCut when the engine's output stops without one."""

EmbeddingEngine = Engine[Embed, Vectors | UsageReport]
"""Gives every input's vector, in their order."""

SpeechEngine = Engine[Speak, Audio | UsageReport]
"""Gives the sound in the format that is asked for, as it is made; the count comes with the first of it."""


class Drawn(NamedTuple):
    """A picture as its engine gives it: number `image` of those asked for, `partial` where it is a draft."""

    image: int
    data: bytes
    content_type: str
    partial: int | None = None
    revised_prompt: str | None = None


class DrawnElsewhere(NamedTuple):
    """A picture that its engine has left at a URL; whoever gets this fetches it."""

    image: int
    url: str
    revised_prompt: str | None = None


ImageEngine = Engine[Draw, Drawn | DrawnElsewhere | UsageReport]
"""Gives each picture when it is whole, its drafts before; the count comes with or before the picture it counts.

An engine that gives drafts counts none before the first: a job that ends there has no picture to be charged for.
"""


@runtime_checkable
class Bounded(Protocol):
    """An engine that can do no more than `slots` jobs at once, so its lane takes no more."""

    @property
    def slots(self) -> int: ...


@runtime_checkable
class CountsTokens(Protocol):
    """An engine that tells how many tokens a chat's input is, without running it; raises as `generate` does."""

    async def count_tokens(self, chat: Chat) -> int: ...
