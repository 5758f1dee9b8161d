"""The dialects that have words of their own, as `Opaque`, `OpaquePiece`, `Tool.dialect` and `Chat.extras` name them."""

from typing import Final

ANTHROPIC: Final = "anthropic"
ANTHROPIC_HEADERS: Final = "anthropic.headers"
"""Beside ANTHROPIC in `Chat.extras`: request headers of that dialect, by their names in lower case."""
OPENAI_CHAT: Final = "openai_chat"
