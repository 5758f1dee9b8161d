"""What a row's abilities and inputs allow in a chat, whichever dialect it came in."""

from collections.abc import Iterator, Mapping
from typing import Final

from schemas.catalog import Model
from schemas.chat import Chat, Document, Image, Part, Reasoning, ToolCall, ToolResult
from schemas.engines import Ability, Input
from schemas.errors import UnsupportedParameter

Ask = Ability | Input

CHAT_NAMES: Final[Mapping[Ask, str]] = {
    "tools": "tools",
    "parallel_tools": "parallel_tool_calls",
    "reasoning": "reasoning_effort",
    "json_object": "response_format",
    "json_schema": "response_format",
    "image": "messages",
    "document": "messages",
}
"""Where chat completions asks for each; other dialects bring words of their own."""

WORDS: Final[Mapping[Ask, str]] = {
    "tools": "call tools",
    "parallel_tools": "be told whether to call several tools at once",
    "reasoning": "be told how long to reason",
    "json_object": "be held to JSON",
    "json_schema": "be held to a JSON schema",
    "image": "read images",
    "document": "read documents",
}


def check_abilities(model: Model, chat: Chat, names: Mapping[Ask, str] = CHAT_NAMES) -> None:
    """Return if `model` can do all that `chat` asks for; else raise UnsupportedParameter, by the dialect's own name.

    Thinking that was said earlier asks for nothing, and a cache mark is a hint: neither is ever refused.
    """
    for ask in asks_of(chat):
        if ask not in model.abilities and ask not in model.inputs:
            param = names[ask]
            raise UnsupportedParameter(
                f"The model '{model.id}' cannot {WORDS[ask]}, which '{param}' asks for. "
                "Leave it out, or choose a model that can.",
                param=param,
            )


def asks_of(chat: Chat) -> Iterator[Ask]:
    """What a model must be able to do to answer; the same may come more than once."""
    choice = chat.tool_choice
    if chat.tools or (choice is not None and choice.mode in ("required", "named")):
        yield "tools"
    if chat.tools and choice is not None and choice.parallel is not None:
        yield "parallel_tools"
    if chat.response_format is not None:
        yield chat.response_format.kind
    if asks_to_reason(chat.reasoning):
        yield "reasoning"
    for message in chat.messages:
        for part in message.parts:
            yield from _part_asks(part)


def asks_to_reason(reasoning: Reasoning | None) -> bool:
    """Whether a model that cannot be told so must refuse; not to reason is what every other model does anyway."""
    if reasoning is None:
        return False
    return reasoning.adaptive or reasoning.max_tokens is not None or reasoning.effort not in (None, "none")


def _part_asks(part: Part) -> Iterator[Ask]:
    match part:
        case Image():
            yield "image"
        case Document():
            yield "document"
        case ToolCall():
            yield "tools"
        case ToolResult(parts=parts):
            yield "tools"
            for inner in parts:
                yield from _part_asks(inner)
        case _:
            return
