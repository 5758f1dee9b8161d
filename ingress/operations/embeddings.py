"""`/v1/embeddings`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final, Literal

import msgspec

from ingress.door import Door
from ingress.embeddings_contract import ENDPOINT, check_embeddings, inputs_of
from ingress.incoming import Incoming
from ingress.operations.operation import Folding, Operation, Told
from ingress.tokens import estimate_embedded_tokens
from ingress.translate.openai_embeddings import EmbeddingsFold, parse
from schemas.catalog import Model
from schemas.media import Embed

NAME: Final = "embeddings"


class State(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for, as far as its answer shows it."""

    inputs: int
    encoding: Literal["float", "base64"]


ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(State)


@dataclass(frozen=True, slots=True)
class EmbeddingsAsked:
    model: Model
    work: Embed
    encoding: Literal["float", "base64"]

    @property
    def stream(self) -> bool:
        return False

    @property
    def tokens(self) -> int:
        return estimate_embedded_tokens(self.work.inputs)

    def state(self, _: Told) -> bytes:
        return ENCODER.encode(State(len(self.work.inputs), self.encoding))


async def ask(door: Door, asked: Incoming) -> EmbeddingsAsked:
    request = parse(asked.body)
    model = door.catalog.serving(request.model, ENDPOINT)
    asked.authorize(model)
    inputs = inputs_of(request)
    row = check_embeddings(model, request, inputs)
    # What asks for all that there is asks for nothing: an engine that cannot shorten need not hear of it.
    dimensions = None if request.dimensions == row.dimensions else request.dimensions
    return EmbeddingsAsked(model, Embed(inputs, dimensions, request.user), request.encoding_format or "float")


def fold(_: Door, told: Told) -> Folding:
    state = DECODER.decode(told.state)
    return Folding(EmbeddingsFold(told.model, state.inputs, state.encoding))


EMBEDDINGS: Final = Operation(ENDPOINT, NAME, ask, fold)
