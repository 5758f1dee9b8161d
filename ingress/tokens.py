"""How many tokens a conversation may take, told from its bytes: the door has no tokenizer."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.catalog import Model
from schemas.chat import Chat, Message, Tool, part_texts

ENCODE: Final = msgspec.json.Encoder().encode

BYTES_PER_TOKEN: Final = 4
"""What English text comes to on the usual vocabularies."""

MOST_BYTES_PER_TOKEN: Final = 8
"""No ordinary text comes to more on average; what would need fewer tokens than this gives surely does not fit."""

MESSAGE_TOKENS: Final = 4
"""What a chat template puts around each message: a role and two or three marks."""

MARK_TOKENS: Final = 2
"""What an encoder puts around each input: where it begins and where it ends."""

TEMPLATE_TOKENS: Final = 64
"""Room for what a template may add once, such as a default system message."""


def text_bytes(text: str) -> int:
    """The length of `text` in UTF-8."""
    return len(text) if text.isascii() else len(text.encode())


def estimate_input_tokens(chat: Chat) -> int:
    """About what the input will be counted as; to reserve limits with, never to bill."""
    return input_bytes(chat) // BYTES_PER_TOKEN + MESSAGE_TOKENS * len(chat.messages) + 1


def input_bytes(chat: Chat) -> int:
    """The bytes of all text that the model reads: what was said, and the tools it is offered."""
    return _input_bytes(chat.messages) + sum(_tool_bytes(tool) for tool in chat.tools)


def output_bound(messages: tuple[Message, ...], model: Model) -> int | None:
    """What to ask of the engine when the caller set no bound: the model's maximum, if it surely fits.

    A token is at least one byte, so that is known for short conversations. For long ones the engine is asked for no
    bound, because most refuse one that does not fit beside the input; the context then bounds the output.
    """
    most_input_tokens = _input_bytes(messages) + 2 * MESSAGE_TOKENS * len(messages) + TEMPLATE_TOKENS
    return model.max_output_tokens if most_input_tokens + model.max_output_tokens <= model.context_tokens else None


def reserve_tokens(chat: Chat, model: Model) -> int:
    """What to reserve of a token limit: the estimated input and all the output there may be."""
    input_tokens = estimate_input_tokens(chat)
    bound = chat.sampling.max_output_tokens
    if bound is None:
        bound = max(1, min(model.max_output_tokens, model.context_tokens - input_tokens))
    return input_tokens + bound * chat.sampling.choices


def estimate_embedded_tokens(inputs: Sequence[str | Sequence[int]]) -> int:
    """About what inputs of an embedding model will be counted as; to reserve limits with, never to bill."""
    counts = (text_bytes(each) // BYTES_PER_TOKEN if isinstance(each, str) else len(each) for each in inputs)
    return sum(counts) + MARK_TOKENS * len(inputs)


def _tool_bytes(tool: Tool) -> int:
    return text_bytes(tool.name) + text_bytes(tool.description or "") + len(ENCODE(tool.schema or {}))


def _input_bytes(messages: Iterable[Message]) -> int:
    return sum(text_bytes(text) for message in messages for part in message.parts for text in part_texts(part))
