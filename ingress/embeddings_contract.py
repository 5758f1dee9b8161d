"""What a row says of an embedding model: everything else is refused before it is published."""

from typing import Final

from ingress.bounds import check_endpoint
from ingress.tokens import text_bytes
from schemas.catalog import Model
from schemas.errors import ContextLengthExceeded, InvalidValue, UnsupportedParameter
from schemas.media_rows import EmbeddingRow
from schemas.wire.openai_embeddings import EmbeddingRequest

ENDPOINT: Final = "/v1/embeddings"

MOST_BYTES_PER_TOKEN: Final = 32
"""What is longer surely does not fit; the engine, which counts, refuses the rest with the same code.

More than chat's: the vocabularies of encoders leave out white space, and take a long word that they do not know for
one token.
"""

Inputs = tuple[str | tuple[int, ...], ...]


def inputs_of(request: EmbeddingRequest) -> Inputs:
    """Each input by itself, whichever way it was written."""
    given = request.input
    if isinstance(given, str):
        return (given,)
    if isinstance(given[0], int):
        return (tuple(each for each in given if isinstance(each, int)),)
    return tuple(each if isinstance(each, str) else tuple(each) for each in given if not isinstance(each, int))


def check_embeddings(model: Model, request: EmbeddingRequest, inputs: Inputs) -> EmbeddingRow:
    """What the row says, if it allows the request; else raises InvalidValue and its siblings, naming the parameter."""
    check_endpoint(model, ENDPOINT)
    row = model.embedding
    assert row is not None, "a row that is served here has its contract"
    _check_dimensions(model, row, request.dimensions)
    if not row.token_inputs and not isinstance(inputs[0], str):
        raise UnsupportedParameter(f"The model '{model.id}' takes texts only. Send 'input' as text.", param="input")
    if len(inputs) > row.max_inputs:
        raise InvalidValue(
            f"'input' should hold at most {row.max_inputs} inputs for the model '{model.id}'; got {len(inputs)}.",
            param="input",
        )
    for number, each in enumerate(inputs):
        least_tokens = text_bytes(each) // MOST_BYTES_PER_TOKEN if isinstance(each, str) else len(each)
        if least_tokens > row.max_input_tokens:
            param = "input" if len(inputs) == 1 else f"input[{number}]"
            raise ContextLengthExceeded(
                f"The model '{model.id}' reads at most {row.max_input_tokens} tokens of one input; '{param}' has at "
                f"least {least_tokens}. Split or shorten it.",
                param=param,
            )
    return row


def _check_dimensions(model: Model, row: EmbeddingRow, asked: int | None) -> None:
    if asked is None or asked == row.dimensions:
        return
    if not row.shorter:
        raise UnsupportedParameter(
            f"The vectors of the model '{model.id}' have {row.dimensions} dimensions, and no others. "
            "Leave 'dimensions' out.",
            param="dimensions",
        )
    if asked > row.dimensions:
        raise InvalidValue(
            f"'dimensions' should be at most {row.dimensions} for the model '{model.id}'; got {asked}.",
            param="dimensions",
        )
