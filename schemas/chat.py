"""The canonical conversation: what every dialect is translated to and every engine is asked with.

Each dialect's own words are gone here, but nothing that one of them can say is lost: signatures, cache marks, the order
of parts, the difference between a tool's result and what a user says beside it.
"""

from typing import Any, Literal

import msgspec

Role = Literal["system", "developer", "user", "assistant"]
CacheTtl = Literal["5m", "1h"]


class CacheMark(msgspec.Struct, frozen=True, omit_defaults=True):
    """The prompt up to and with the part that carries this may be kept by the provider for `ttl`."""

    ttl: CacheTtl = "5m"


Extras = dict[str, Any]
"""Fields that only one provider's dialect knows, kept for it; whose they are is told by `Chat.extras`."""


class Text(msgspec.Struct, frozen=True, array_like=True, tag="text"):
    text: str
    cache: CacheMark | None = None
    extras: Extras | None = None


class Refusal(msgspec.Struct, frozen=True, array_like=True, tag="refusal"):
    """An assistant's earlier words in which it declined."""

    text: str


class Image(msgspec.Struct, frozen=True, array_like=True, tag="image"):
    """Either `data`, base64 of `media_type`, or `url` for whoever fetches it.

    `place` is where the caller's request has it, in that request's own words, for what may yet be wrong with it.
    """

    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None
    extras: Extras | None = None
    place: str | None = None


class Document(msgspec.Struct, frozen=True, array_like=True, tag="document"):
    """A file to read: base64 `data` of `media_type`, plain `text`, or a `url`; `place` as an image's."""

    media_type: str | None = None
    data: str | None = None
    text: str | None = None
    url: str | None = None
    name: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheMark | None = None
    extras: Extras | None = None
    place: str | None = None


class Thinking(msgspec.Struct, frozen=True, array_like=True, tag="thinking"):
    """An assistant's earlier reasoning; the provider that made it knows it again by its `signature`."""

    text: str
    signature: str | None = None


class RedactedThinking(msgspec.Struct, frozen=True, array_like=True, tag="redacted"):
    """Reasoning that only its provider can read."""

    data: str


class ToolCall(msgspec.Struct, frozen=True, array_like=True, tag="call"):
    """An assistant's call; `arguments` is the JSON text as the model wrote it, whole or not."""

    id: str
    name: str
    arguments: str
    cache: CacheMark | None = None
    extras: Extras | None = None


class Opaque(msgspec.Struct, frozen=True, array_like=True, tag="opaque"):
    """A part that only one provider's dialect knows; goes back to that provider as it came and to no other."""

    dialect: str
    body: dict[str, Any]


class ToolResult(msgspec.Struct, frozen=True, array_like=True, tag="result"):
    """What a tool answered to the call `call_id`; stands in a user's turn."""

    call_id: str
    parts: tuple[Text | Image | Document | Opaque, ...]
    is_error: bool = False
    cache: CacheMark | None = None
    extras: Extras | None = None


Part = Text | Refusal | Image | Document | Thinking | RedactedThinking | ToolCall | ToolResult | Opaque


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One turn; parts in the order they were said."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call; `schema` is JSON Schema of its arguments.

    With `dialect` it is a tool that this dialect's provider runs itself, no function, and `extras` is its whole body.
    """

    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    extras: Extras | None = None
    dialect: str | None = None


class ToolChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether the model may, must or must not call; `named` names the one it must. `parallel` None is the default."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None
    parallel: bool | None = None


class ResponseFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """The form the text must have."""

    kind: Literal["json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """How long to think before the answer; None leaves it to the engine.

    `adaptive` lets the model decide; `display` says how much of it the caller wants to see.
    """

    effort: Effort | None = None
    max_tokens: int | None = None
    adaptive: bool = False
    display: str | None = None


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
    """A conversation to continue.

    `user` is the caller's own id for its end user, passed on for abuse checks. `cache` marks the whole prompt;
    `cache_retention` is for providers that cache by themselves. `extras` are fields that only one dialect knows, by
    that dialect's name: its provider gets them as they came. A dialect whose name stands there, if only with an empty
    object, is the one the caller spoke.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    user: str | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    cache: CacheMark | None = None
    cache_retention: Literal["in_memory", "24h"] | None = None
    extras: dict[str, Extras] | None = None


def part_texts(part: Part) -> list[str]:
    """The text in a part, and in what it holds; for counting, never for sending."""
    match part:
        case Text(text=text) | Refusal(text=text) | Thinking(text=text):
            return [text]
        case Document(text=str(text)):
            return [text]
        case ToolCall(name=name, arguments=arguments):
            return [name, arguments]
        case ToolResult(parts=parts):
            return [text for inner in parts for text in part_texts(inner)]
        case _:
            return []
