"""The answer of a job that only measures a prompt, in whichever dialect it was asked."""

from collections.abc import Callable, Sequence

from schemas.chunks import Chunk, Ended
from schemas.errors import EngineFailed, ErrorData

CountBody = Callable[[int], bytes]
"""A dialect's whole answer to how many input tokens there are."""


class CountFold:
    """After the end, either `error` says why there is no count or `reply` gives it."""

    def __init__(self, body: CountBody) -> None:
        self._body = body
        self._input_tokens: int | None = None
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if isinstance(chunk, Ended):
                self._input_tokens = chunk.counted_tokens
                self.error = chunk.error
                if self.error is None and self._input_tokens is None:
                    self.error = EngineFailed("The prompt was not counted.").data()

    def reply(self) -> bytes:
        """The body of the whole answer."""
        return self._body(self._input_tokens or 0)
