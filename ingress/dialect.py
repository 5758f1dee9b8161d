"""What differs from door to door around an answer: its sign of life, its errors, its headers."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from ingress.errors import openai_error
from ingress.translate.anthropic import MessagesStreamWriter, anthropic_error, anthropic_headers
from schemas.errors import ErrorData, PenstockError


class Dialect(NamedTuple):
    """`ping` goes into a silent stream. `error` gives status, headers and body. `headers` adds the dialect's words."""

    ping: bytes
    error: Callable[[PenstockError | ErrorData, str], tuple[int, dict[str, str], bytes]]
    headers: Callable[[Mapping[str, str], str], dict[str, str]]


OPENAI: Final = Dialect(b": ping\n\n", openai_error, lambda headers, request_id: dict(headers))
ANTHROPIC: Final = Dialect(MessagesStreamWriter.ping, anthropic_error, anthropic_headers)

PLACES: Final = ("/v1/messages", "/v1/v1/messages")
"""Where Anthropic's dialect is spoken; the second is what clients ask whose base URL ends in `/v1` already."""


def dialect_of(path: str) -> Dialect:
    """The dialect of a path, whether there is a route for it or not."""
    for place in PLACES:
        if path == place or path.startswith(place + "/"):
            return ANTHROPIC
    return OPENAI
