"""A conversation as Anthropic takes it: what the system says at the top, then the turns."""

from collections.abc import Sequence
from typing import Any

from schemas.chat import Message, Part, ToolResult
from workers.engines.anthropic_blocks import Block, Blocks, is_plain

SYSTEM = ("system", "developer")


def system_and_turns(messages: Sequence[Message], blocks: Blocks) -> tuple[str | list[Block], list[Block]]:
    """The `system` field, empty where nothing is said, and `messages`.

    A caller of the same dialect has its later system messages left where they stand. All others are hoisted, in their
    order, as not every model of Anthropic's takes one among the turns.
    """
    first = 1 if messages and messages[0].role in SYSTEM else 0
    hoisted = messages[:first] if blocks.native else [each for each in messages if each.role in SYSTEM]
    rest = messages[first:] if blocks.native else [each for each in messages if each.role not in SYSTEM]
    system = _system(hoisted, blocks)
    turns = [turn for each in _merged(rest) if (turn := _turn(each, blocks)) is not None]
    if not turns and system:
        # Somebody has to have spoken: a prompt that is all system is the user's.
        return "", [{"role": "user", "content": system}]
    return system, turns


def _system(messages: Sequence[Message], blocks: Blocks) -> str | list[Block]:
    said = [blocks.of(message.parts) for message in messages]
    if all(is_plain(content) for content in said if content):
        return "\n".join(content[0]["text"] for content in said if content)
    if len(said) > 1 and all(is_plain([block]) for content in said for block in content):
        return "\n".join(block["text"] for content in said for block in content)
    return [block for content in said for block in content]


def _turn(message: Message, blocks: Blocks) -> Block | None:
    content = blocks.of(_results_first(message.parts))
    if not content and not (blocks.native and not message.parts):
        return None
    said: Any = content[0]["text"] if is_plain(content) else content
    role = "system" if message.role == "developer" else message.role
    return {"role": role, "content": said if content else ""}


def _merged(messages: Sequence[Message]) -> list[Message]:
    """The user's neighbouring turns as one where a later one holds a tool's result: it may not stand behind a text."""
    merged: list[Message] = []
    for message in messages:
        before = merged[-1] if merged else None
        if before is not None and before.role == message.role == "user" and _has_result(message):
            merged[-1] = Message("user", before.parts + message.parts)
        else:
            merged.append(message)
    return merged


def _has_result(message: Message) -> bool:
    return any(isinstance(part, ToolResult) for part in message.parts)


def _results_first(parts: Sequence[Part]) -> Sequence[Part]:
    return sorted(parts, key=lambda part: not isinstance(part, ToolResult))
