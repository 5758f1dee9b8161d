"""How each of the text doors is asked the same, and by what its answer is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_TOKENS: Final = 64


@dataclass(frozen=True)
class Door:
    """A dialect's address below the base URL, how it is asked, and marks in what it answers.

    Every event with output has `piece`, every whole reply `reply`, and the end of every whole stream `end`.
    """

    name: str
    path: str
    ask: Callable[[str], dict[str, Any]]
    piece: bytes
    reply: bytes
    end: bytes

    def body(self, model: str, said: str, *, stream: bool) -> dict[str, Any]:
        body = {"model": model, **self.ask(said)}
        return {**body, "stream": True} if stream else body

    def content(self, *, stream: bool) -> bytes:
        return self.piece if stream else self.reply


def _messages(said: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": said}], "max_tokens": MAX_TOKENS}


def _input(said: str) -> dict[str, Any]:
    return {"input": said, "max_output_tokens": MAX_TOKENS}


CHAT: Final = Door("chat", "/chat/completions", _messages, b'"content":', b'"content":', b"data: [DONE]")
RESPONSES: Final = Door(
    "responses", "/responses", _input, b'"response.output_text.delta"', b'"output_text"', b'"response.completed"'
)
UNSTORED: Final = Door(
    "responses, store: false",
    RESPONSES.path,
    lambda said: {**_input(said), "store": False},
    RESPONSES.piece,
    RESPONSES.reply,
    RESPONSES.end,
)
MESSAGES: Final = Door(
    "messages", "/messages", _messages, b'"content_block_delta"', b'"type":"text"', b'"type":"message_stop"'
)

BESIDE_CHAT: Final = (RESPONSES, UNSTORED, MESSAGES)

HELD_TO_CHAT: Final[Mapping[str, str]] = {RESPONSES.name: RESPONSES.path, MESSAGES.name: MESSAGES.path}
"""The doors that are promised to be about as fast as chat, and their paths."""
