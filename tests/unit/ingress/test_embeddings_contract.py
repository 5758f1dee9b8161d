"""What an embedding row allows."""

from typing import Any

import pytest

from ingress.embeddings_contract import check_embeddings, inputs_of
from ingress.tokens import estimate_embedded_tokens
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, PenstockError, UnsupportedParameter
from schemas.wire.openai_embeddings import EmbeddingRequest


def row(**contract: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "modality": "embedding",
            "engine": "openai_compatible",
            "base_url": "http://127.0.0.1:1/v1",
            "embedding": {"dimensions": 8, "max_inputs": 4, "max_input_tokens": 10, **contract},
        }
    )


def check(model: Model, **fields: Any) -> None:
    request = EmbeddingRequest.model_validate({"model": "m", "input": "Hello.", **fields})
    check_embeddings(model, request, inputs_of(request))


@pytest.mark.parametrize(
    ("contract", "fields"),
    [
        ({}, {"input": ["a"] * 4}),
        ({}, {"dimensions": 8}),
        ({"shorter": True}, {"dimensions": 1}),
        ({"token_inputs": True}, {"input": [1] * 10}),
        ({"token_inputs": True}, {"input": [[1] * 10, [2]]}),
        ({}, {"input": "é" * 160, "user": "u", "encoding_format": "base64"}),
        ({}, {"input": " "}),
    ],
)
def test_what_the_row_allows(contract: dict[str, Any], fields: dict[str, Any]) -> None:
    check(row(**contract), **fields)


@pytest.mark.parametrize(
    ("contract", "fields", "kind", "param"),
    [
        ({}, {"dimensions": 7}, UnsupportedParameter, "dimensions"),
        ({}, {"dimensions": 9}, UnsupportedParameter, "dimensions"),
        ({"shorter": True}, {"dimensions": 9}, InvalidValue, "dimensions"),
        ({}, {"input": [1]}, UnsupportedParameter, "input"),
        ({}, {"input": [[1]]}, UnsupportedParameter, "input"),
        ({}, {"input": ["a"] * 5}, InvalidValue, "input"),
        ({}, {"input": "é" * 176}, ContextLengthExceeded, "input"),
        ({}, {"input": ["a", "a" * 352]}, ContextLengthExceeded, "input[1]"),
        ({"token_inputs": True}, {"input": [1] * 11}, ContextLengthExceeded, "input"),
        ({"token_inputs": True}, {"input": [[1], [1] * 11]}, ContextLengthExceeded, "input[1]"),
    ],
)
def test_what_it_does_not_is_named(
    contract: dict[str, Any], fields: dict[str, Any], kind: type[PenstockError], param: str
) -> None:
    with pytest.raises(kind) as raised:
        check(row(**contract), **fields)
    assert raised.value.param == param


def test_a_chat_model_is_not_served_here() -> None:
    chat = {"id": "m", "engine": "openai_compatible", "base_url": "http://127.0.0.1:1/v1", "context_tokens": 8}
    with pytest.raises(InvalidValue, match="not served at /v1/embeddings") as raised:
        check(Model.model_validate({**chat, "max_output_tokens": 4}))
    assert raised.value.param == "model"


@pytest.mark.parametrize(
    ("given", "tokens"),
    [("12345678", 2 + 2), (["12345678", "1234"], 2 + 2 + 1 + 2), ([1, 2, 3], 3 + 2), ([[1], [2, 3]], 3 + 4), ("é", 2)],
)
def test_what_is_reserved(given: Any, tokens: int) -> None:
    """A token for four bytes, or as many as are sent, and two marks around each input."""
    request = EmbeddingRequest.model_validate({"model": "m", "input": given})
    assert estimate_embedded_tokens(inputs_of(request)) == tokens
