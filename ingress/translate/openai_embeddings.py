"""OpenAI's embeddings: the request as work, and vectors as its answer."""

from collections.abc import Sequence
from struct import Struct
from typing import Any, Final, Literal

import msgspec

from ingress.translate.validation import read
from schemas.chunks import Chunk, Ended
from schemas.errors import EngineFailed, ErrorData, InternalError
from schemas.media_chunks import Vectors
from schemas.usage import Usage
from schemas.wire.openai_embeddings import EmbeddingRequest

ENCODE: Final = msgspec.json.Encoder().encode
FLOAT_BYTES: Final = 4


def parse(body: bytes) -> EmbeddingRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(EmbeddingRequest, body)


class EmbeddingsFold:
    """Gathers the vectors of `inputs`. After the end, either `error` says why there are none or `reply` gives them."""

    def __init__(self, model: str, inputs: int, encoding: Literal["float", "base64"]) -> None:
        self._model = model
        self._inputs = inputs
        self._encoding = encoding
        self._parts: list[Vectors] = []
        self._usage = Usage()
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            if isinstance(chunk, Vectors):
                self._parts.append(chunk)
            elif isinstance(chunk, Ended):
                self._end(chunk)

    def reply(self) -> bytes:
        """The body of the whole answer, its vectors by the numbers of their inputs."""
        data = [
            {"object": "embedding", "index": part.first + place, "embedding": vector}
            for part in self._parts
            for place, vector in enumerate(self._vectors(part))
        ]
        tokens = self._usage.input_tokens
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return ENCODE({"object": "list", "data": data, "model": self._model, "usage": usage})

    def _vectors(self, part: Vectors) -> Sequence[Any]:
        """msgspec writes bytes as base64, which is the encoding that OpenAI means: little-endian, as they are."""
        if self._encoding == "float":
            return list(Struct(f"<{part.dimensions}f").iter_unpack(part.data))
        size, data = part.dimensions * FLOAT_BYTES, memoryview(part.data)
        return [data[start : start + size] for start in range(0, len(data), size)]

    def _end(self, ended: Ended) -> None:
        self._usage = ended.usage
        self.error = ended.error
        if self.error is None and ended.end != "completed":
            self.error = InternalError(f"The job ended as {ended.end} without a reason.").data()
        if self.error is None and not self._complete():
            self.error = EngineFailed("The engine did not give a vector for every input.").data()

    def _complete(self) -> bool:
        """Whether each input has its vector, all in order."""
        expected = 0
        for part in self._parts:
            if part.first != expected or len(part.data) % (part.dimensions * FLOAT_BYTES):
                return False
            expected += len(part.data) // (part.dimensions * FLOAT_BYTES)
        return expected == self._inputs
