"""Any upstream that speaks OpenAI's embeddings: vLLM, OpenAI, another Penstock."""

import math
import struct
from array import array
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import msgspec

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import ContextLengthExceeded, EngineFailed, PenstockError
from schemas.media import Embed
from schemas.media_chunks import Vectors
from schemas.usage import Usage
from workers.engines import openai_errors, setup
from workers.engines.openai_usage import WireUsage
from workers.engines.upstream import Upstream, checked_headers
from workers.engines.vectors import chunked
from workers.estimate import estimated_input_tokens

ENCODE: Final = msgspec.json.Encoder().encode

FLOAT_TEXT_BYTES: Final = 28
"""The most that a number takes in JSON, with its comma and a space; base64 takes a fifth of it."""
ENVELOPE_BYTES: Final = 256
"""What stands around a vector; twice what OpenAI puts there."""
HEAD_BYTES: Final = 64 * 1024


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row of the modality embedding.

    `encoding_format` null leaves that field out, for an upstream that does not know it.
    """

    encoding_format: str | None = "base64"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class _Embedding(msgspec.Struct):
    """msgspec reads a string as base64 into bytes. Some upstreams leave the index out, and keep the order."""

    embedding: bytes | list[float]
    index: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Embedding]
    usage: WireUsage | None = None


ANSWER: Final = msgspec.json.Decoder(_Answer)


class OpenAIEmbeddings:
    """One row's upstream. The inputs of a request go out together: what arrives together, its engine batches."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.embedding is not None, "an embedding model has its contract"
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        self._dimensions = model.embedding.dimensions
        encoding = {} if options.encoding_format is None else {"encoding_format": options.encoding_format}
        self._fields = {"model": model.upstream_name, **encoding, **options.body}
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/embeddings", headers, self._refused)

    async def generate(self, job_id: str, asked: Embed) -> AsyncGenerator[Sequence[Vectors | UsageReport], None]:
        dimensions = asked.dimensions or self._dimensions
        most_bytes = HEAD_BYTES + len(asked.inputs) * (ENVELOPE_BYTES + dimensions * FLOAT_TEXT_BYTES)
        body = await self._upstream.answer(ENCODE(self._body(asked)), {"X-Request-ID": job_id}, most_bytes=most_bytes)
        vectors, usage = self._read(body, len(asked.inputs), dimensions)
        # Not every upstream counts; the meter would take vectors for tokens that were made.
        counted = usage or Usage(input_tokens=estimated_input_tokens(asked), estimated=True)
        yield [*chunked(0, vectors), UsageReport(counted)]

    async def close(self) -> None:
        await self._upstream.close()

    def _body(self, asked: Embed) -> dict[str, Any]:
        given = {"dimensions": asked.dimensions, "user": asked.user}
        inputs = asked.inputs[0] if len(asked.inputs) == 1 and isinstance(asked.inputs[0], str) else asked.inputs
        return {**self._fields, "input": inputs, **{name: value for name, value in given.items() if value is not None}}

    def _read(self, body: bytes, inputs: int, dimensions: int) -> tuple[list[bytes], Usage | None]:
        """The vector of every input, in order, and the upstream's count. Raises EngineFailed where one is not there."""
        try:
            answer = ANSWER.decode(body)
            vectors = [_little_endian(each.embedding) for each in _in_order(answer.data)]
        except (msgspec.DecodeError, OverflowError, struct.error) as exc:
            raise self._no_answer("what are no embeddings") from exc
        if len(vectors) != inputs:
            raise self._no_answer(f"{len(vectors)} embeddings to {inputs} inputs")
        for vector in vectors:
            if len(vector) != 4 * dimensions:
                raise self._no_answer(f"embeddings of {len(vector) // 4} dimensions, not of {dimensions}")
            if not math.isfinite(sum(array("f", vector))):
                raise self._no_answer("an embedding that holds what is no number")
        return vectors, None if answer.usage is None else answer.usage.canonical()

    def _no_answer(self, what: str) -> EngineFailed:
        return EngineFailed(f"The engine of model '{self._model}' answered with {what}.")

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        error = openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )
        if isinstance(error, ContextLengthExceeded):
            # There is nothing else that could be too long; vLLM names no parameter of the caller's (0.32, 2026-11).
            error.param = error.param or "input"
        return error


def _in_order(data: Sequence[_Embedding]) -> list[_Embedding]:
    places = [place if each.index is None else each.index for place, each in enumerate(data)]
    if sorted(places) != list(range(len(data))):
        raise msgspec.ValidationError("an input has two embeddings, or none")
    return [each for _, each in sorted(zip(places, data, strict=True), key=lambda pair: pair[0])]


def _little_endian(embedding: bytes | list[float]) -> bytes:
    return embedding if isinstance(embedding, bytes) else struct.pack(f"<{len(embedding)}f", *embedding)
