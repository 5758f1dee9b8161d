"""What an upstream that speaks OpenAI's images answers, well or badly."""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from PIL import Image

from tests.upstream import Reply

JSON: Final = {"Content-Type": "application/json"}
USAGE: Final = {
    "input_tokens": 12,
    "output_tokens": 300,
    "total_tokens": 312,
    "input_tokens_details": {"text_tokens": 12, "image_tokens": 0},
}


def picture(colour: str = "red", kind: str = "PNG", size: tuple[int, int] = (4, 4)) -> bytes:
    body = io.BytesIO()
    Image.new("RGB", size, colour).save(body, kind)
    return body.getvalue()


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def images(*pictures: bytes, usage: Mapping[str, Any] | None = None) -> Reply:
    return listed([{"b64_json": encoded(each)} for each in pictures], usage)


def listed(data: Sequence[Any], usage: Mapping[str, Any] | None = None) -> Reply:
    counted = {} if usage is None else {"usage": usage}
    return Reply([json.dumps({"created": 1_763_800_000, "data": data, **counted}).encode()], 200, JSON)


def event(name: str, data: bytes, **fields: Any) -> bytes:
    """One event as OpenAI sends it."""
    kind = f"image_generation.{name}"
    value = {
        "type": kind,
        "b64_json": encoded(data),
        "created_at": 1_763_800_000,
        "size": "512x512",
        "quality": "high",
        "background": "opaque",
        "output_format": "png",
        **fields,
    }
    return f"event: {kind}\ndata: {json.dumps(value)}\n\n".encode()


def draft(data: bytes, number: int, **fields: Any) -> bytes:
    return event("partial_image", data, partial_image_index=number, **fields)


def completed(data: bytes, **fields: Any) -> bytes:
    return event("completed", data, **{"usage": USAGE, **fields})
