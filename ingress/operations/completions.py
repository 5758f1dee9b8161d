"""`/v1/completions`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final

from ingress.completions_contract import ENDPOINT, check_completion
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.operations.operation import Folding, Operation, Told
from ingress.tokens import reserve_tokens
from ingress.translate.openai_completions import CompletionFold, parse, to_chat
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.wire.openai_completions import CompletionRequest

NAME: Final = "completions"


@dataclass(frozen=True, slots=True)
class CompletionAsked:
    request: CompletionRequest
    model: Model
    work: Chat

    @property
    def stream(self) -> bool:
        return bool(self.request.stream)

    @property
    def tokens(self) -> int:
        return reserve_tokens(self.work, self.model)

    def state(self, _: Told) -> bytes:
        return b""


async def ask(door: Door, asked: Incoming) -> CompletionAsked:
    request = parse(asked.body)
    model = door.catalog.find(request.model)
    asked.authorize(model)
    check_completion(model, request)
    return CompletionAsked(request, model, to_chat(request, model))


def fold(_: Door, told: Told) -> Folding:
    return Folding(CompletionFold(told.job_id, told.model, told.created))


COMPLETIONS: Final = Operation(ENDPOINT, NAME, ask, fold)
