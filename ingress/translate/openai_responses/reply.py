"""A response as one reply: a fold over the same chunks that would have been streamed."""

from collections.abc import Callable
from typing import Final

import msgspec

from ingress.translate.openai_responses.bodies import Head
from ingress.translate.openai_responses.transcript import Transcript

ENCODE: Final = msgspec.json.Encoder().encode


class ResponsesFold(Transcript):
    """Gathers one response. After the end, either `error` says why there is no reply or `reply` gives it."""

    def __init__(self, head: Head, now: Callable[[], float]) -> None:
        super().__init__(head, now)

    def reply(self) -> bytes:
        """The body of the response as it stands."""
        return ENCODE(self.body())
