"""OpenAI's embeddings, body by body."""

import base64
import json
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from ingress.translate.openai_embeddings import EmbeddingsFold, parse
from schemas.chunks import Ended
from schemas.errors import EngineUnavailable, PenstockError
from schemas.media_chunks import Vectors
from schemas.usage import Usage

ENDED = Ended("completed", Usage(input_tokens=7))


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "Hello.", **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"input": None}, "input", "should be a string, an array of strings, or tokens"),
        ({"input": {"text": "a"}}, "input", "should be a string, an array of strings, or tokens"),
        ({"input": ""}, "input", "at least 1 character"),
        ({"input": []}, "input", "at least 1 item"),
        ({"input": ["a", ""]}, "input[1]", "at least 1 character"),
        ({"input": ["a", 1]}, "input[1]", "should be a valid string"),
        ({"input": ["a"] * 2049}, "input", "at most 2048 items"),
        ({"input": [1, "a"]}, "input[1]", "should be a valid integer"),
        ({"input": [1, -1]}, "input[1]", "greater than or equal to 0"),
        ({"input": [1, 2**31]}, "input[1]", "less than or equal to 2147483647"),
        ({"input": [1.5]}, "input[0]", "should be a valid string"),
        ({"input": [True]}, "input[0]", "should be a valid integer"),
        ({"input": [[1], []]}, "input[1]", "at least 1 item"),
        ({"input": [[1], "a"]}, "input[1]", "should be a valid array"),
        ({"input": [[1]] * 2049}, "input", "at most 2048 items"),
        ({"encoding_format": "int8"}, "encoding_format", "'float' or 'base64'"),
        ({"dimensions": 0}, "dimensions", "greater than or equal to 1"),
        ({"dimensions": "3"}, "dimensions", "should be a valid integer"),
        ({"user": 1}, "user", "should be a valid string"),
        ({"model": ""}, "model", "at least 1 character"),
        ({"stream": True}, "stream", "Unknown parameter"),
        ({"dimension": 3}, "dimension", "Did you mean 'dimensions'?"),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(PenstockError) as raised:
        parse(body(**fields))
    assert raised.value.status == 400
    assert raised.value.param == param
    assert words in raised.value.message


@pytest.mark.parametrize("given", ["a", ["a", "b"], [1, 2], [[1], [2, 3]], " "])
def test_all_shapes_of_input_are_read_as_they_are(given: Any) -> None:
    assert parse(body(input=given, encoding_format=None, dimensions=None, user=None)).input == given


def vectors(first: int, *rows: tuple[float, ...]) -> Vectors:
    return Vectors(first, len(rows[0]), b"".join(struct.pack(f"<{len(row)}f", *row) for row in rows))


PARTS = [vectors(0, (1.0, 0.5), (0.25, -1.0)), vectors(2, (0.0, 2.0)), ENDED]


def test_floats_as_the_sdk_reads_them() -> None:
    fold = EmbeddingsFold("m", 3, "float")
    fold.add(PARTS)
    assert fold.error is None
    reply = CreateEmbeddingResponse.model_validate_json(fold.reply(), strict=True)
    assert [(each.object, each.index, each.embedding) for each in reply.data] == [
        ("embedding", 0, [1.0, 0.5]),
        ("embedding", 1, [0.25, -1.0]),
        ("embedding", 2, [0.0, 2.0]),
    ]
    assert (reply.object, reply.model, reply.usage.prompt_tokens, reply.usage.total_tokens) == ("list", "m", 7, 7)


def test_base64_is_little_endian_float32() -> None:
    fold = EmbeddingsFold("m", 3, "base64")
    fold.add(PARTS)
    data = json.loads(fold.reply())["data"]
    assert data[0]["embedding"] == "AACAPwAAAD8="  # 00 00 80 3f, 00 00 00 3f
    assert struct.unpack("<2f", base64.b64decode(data[2]["embedding"], validate=True)) == (0.0, 2.0)


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        ([vectors(0, (1.0, 0.5)), ENDED], "engine_failed"),
        ([vectors(0, (1.0,), (1.0,)), vectors(3, (1.0,)), ENDED], "engine_failed"),
        ([*PARTS[:2], vectors(3, (1.0, 1.0)), ENDED], "engine_failed"),
        ([Vectors(0, 2, bytes(20)), vectors(2, (1.0, 1.0)), ENDED], "engine_failed"),
        ([ENDED], "engine_failed"),
        ([Ended("failed", Usage(), EngineUnavailable("away").data())], "engine_unavailable"),
        ([*PARTS[:2], Ended("cancelled", Usage())], "internal_error"),
    ],
)
def test_an_answer_without_all_vectors_is_an_error(chunks: list[Any], code: str) -> None:
    fold = EmbeddingsFold("m", 3, "float")
    fold.add(chunks)
    assert fold.error is not None
    assert fold.error.code == code
