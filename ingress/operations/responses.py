"""`/v1/responses`, between its bodies and its jobs, where nothing is stored and nobody asks again for the answer."""

import time
from dataclasses import dataclass
from typing import Final

import msgspec

from ingress import responding
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.operations.operation import Folding, Operation, Told
from ingress.responding import OPERATION
from ingress.responses_contract import ENDPOINT
from ingress.tokens import reserve_tokens
from ingress.translate.openai_responses import Head, ResponsesFold, head
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.errors import InvalidValue
from schemas.wire.openai_responses import ResponsesRequest

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Head)


@dataclass(frozen=True, slots=True)
class ResponseAsked:
    request: ResponsesRequest
    model: Model
    work: Chat

    @property
    def stream(self) -> bool:
        return bool(self.request.stream)

    @property
    def tokens(self) -> int:
        return reserve_tokens(self.work, self.model)

    def state(self, told: Told) -> bytes:
        return ENCODER.encode(head(self.request, self.model.id, told.job_id, told.created, store=False))


async def ask(door: Door, asked: Incoming) -> ResponseAsked:
    """A request that goes on from a stored response is taken; one that is to be stored itself is not."""
    whole = await responding.ask(door, asked)
    if whole.request.background:
        raise InvalidValue("'background' cannot be true here: every submission is.", param="background")
    if whole.request.store:
        raise InvalidValue("'store' cannot be true here: the result is all there will be.", param="store")
    return ResponseAsked(whole.request, whole.model, whole.chat)


def fold(_: Door, told: Told) -> Folding:
    return Folding(ResponsesFold(DECODER.decode(told.state), time.time))


RESPONSES: Final = Operation(ENDPOINT, OPERATION, ask, fold)
