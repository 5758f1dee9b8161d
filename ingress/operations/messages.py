"""`/v1/messages`, between its bodies and its jobs, and its count of tokens."""

from dataclasses import dataclass
from typing import Final

from ingress.dialect import PLACES
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.messages_contract import check_messages, places_of, within_abilities
from ingress.named import with_places
from ingress.operations.operation import Folding, Operation, Told
from ingress.tokens import reserve_tokens
from ingress.translate.anthropic import BETA_HEADER, MessagesFold, parse, to_chat
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.wire.anthropic import CountTokensRequest

NAME: Final = "messages"


@dataclass(frozen=True, slots=True)
class MessageAsked:
    model: Model
    work: Chat
    stream: bool

    @property
    def tokens(self) -> int:
        return reserve_tokens(self.work, self.model)

    def state(self, _: Told) -> bytes:
        return b""


async def ask(door: Door, asked: Incoming) -> MessageAsked:
    request = parse(asked.body)
    model, chat = checked(door, asked, request)
    return MessageAsked(model, chat, bool(request.stream))


def checked(door: Door, asked: Incoming, request: CountTokensRequest) -> tuple[Model, Chat]:
    """The model and the conversation of a request to have it continued, or only counted."""
    model = door.catalog.find(request.model)
    asked.authorize(model)
    betas = ",".join(asked.headers.getlist(BETA_HEADER)) or None
    chat = within_abilities(model, to_chat(request, betas))
    check_messages(model, request, chat)
    return model, with_places(chat, places_of(request))


def fold(_: Door, told: Told) -> Folding:
    return Folding(MessagesFold(told.job_id, told.model))


MESSAGES: Final = Operation(PLACES[0], NAME, ask, fold)
