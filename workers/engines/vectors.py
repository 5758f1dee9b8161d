"""Vectors in pieces that the way back carries well."""

from collections.abc import Iterator, Sequence
from typing import Final

from schemas.media_chunks import Vectors

CHUNK_BYTES: Final = 192 * 1024
"""Far below what one publish may carry, and large enough that its frame costs nothing beside it."""


def chunked(first: int, vectors: Sequence[bytes]) -> Iterator[Vectors]:
    """Vectors of the inputs from number `first` on, all equally long, each as little-endian float32."""
    size_bytes = len(vectors[0])
    most = max(1, CHUNK_BYTES // size_bytes)
    for start in range(0, len(vectors), most):
        yield Vectors(first + start, size_bytes // 4, b"".join(vectors[start : start + most]))
