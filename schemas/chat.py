"""The canonical conversation: what every dialect is translated to and every engine is asked with."""

from typing import Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant"]


class Text(msgspec.Struct, frozen=True, array_like=True, tag="text"):
    text: str


Part = Text


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn; parts in the order they were said."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Sampling(msgspec.Struct, frozen=True, omit_defaults=True):
    """How to draw tokens; None leaves the choice to the engine."""

    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: int = 1


class Chat(msgspec.Struct, frozen=True, omit_defaults=True, tag="chat"):
    """A conversation to continue. `user` is the caller's own id for its end user, passed on for abuse checks."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    user: str | None = None
