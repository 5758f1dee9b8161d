"""What an upstream that speaks OpenAI's embeddings answers, well or badly."""

import base64
import json
import struct
from collections.abc import Sequence
from typing import Any

from tests.upstream import Reply

JSON = {"Content-Type": "application/json"}


def encoded(vector: Sequence[float]) -> str:
    """As OpenAI encodes it: little-endian float32, in base64."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def embeddings(*vectors: Any, input_tokens: int | None = 5, numbered: bool = True) -> Reply:
    """Vectors as they stand: lists of numbers, or strings in base64."""
    data = [
        {"object": "embedding", "embedding": vector, **({"index": index} if numbered else {})}
        for index, vector in enumerate(vectors)
    ]
    return listed(data, input_tokens)


def listed(data: Sequence[Any], input_tokens: int | None = 5) -> Reply:
    usage = {} if input_tokens is None else {"usage": {"prompt_tokens": input_tokens, "total_tokens": input_tokens}}
    return Reply([json.dumps({"object": "list", "data": data, "model": "m", **usage}).encode()], 200, JSON)
