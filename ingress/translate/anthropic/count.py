"""The answer of a job that only measures a prompt."""

from collections.abc import Sequence

import msgspec

from schemas.chunks import Chunk, Ended
from schemas.errors import EngineFailed, ErrorData


def count_body(input_tokens: int) -> bytes:
    return msgspec.json.encode({"input_tokens": input_tokens})


class CountFold:
    """After the end, either `error` says why there is no count or `reply` gives it."""

    def __init__(self) -> None:
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
        return count_body(self._input_tokens or 0)
