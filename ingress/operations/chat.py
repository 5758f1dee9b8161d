"""`/v1/chat/completions`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final

from ingress.answer import Fold
from ingress.contract import check_chat
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.named import with_places
from ingress.operations.operation import Folding, Operation, Told
from ingress.remembering import Remembering, recall, remembering
from ingress.tokens import reserve_tokens
from ingress.translate.openai_chat import ReplyFold, parse, to_chat
from ingress.turns import chat_place, check_turns
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.wire.openai_chat import ChatCompletionRequest

PATH: Final = "/v1/chat/completions"
NAME: Final = "chat"

REMEMBERS: Final = b"r"
"""The state of a request whose answer may hold what must be kept for the next one."""


@dataclass(frozen=True, slots=True)
class ChatAsked:
    request: ChatCompletionRequest
    model: Model
    work: Chat
    remember: Remembering | None

    @property
    def stream(self) -> bool:
        return bool(self.request.stream)

    @property
    def tokens(self) -> int:
        return reserve_tokens(self.work, self.model)

    def state(self, _: Told) -> bytes:
        return b"" if self.remember is None else REMEMBERS


async def ask(door: Door, asked: Incoming) -> ChatAsked:
    request = parse(asked.body)
    model = door.catalog.find(request.model)
    asked.authorize(model)
    check_chat(model, PATH, request)
    chat = to_chat(request, model)
    check_turns(chat)
    account = asked.key.account
    chat = await recall(door.thinking, account, model, with_places(chat, chat_place))
    return ChatAsked(request, model, chat, remembering(door.thinking, account, model, chat))


def fold(door: Door, told: Told) -> Folding:
    reply: Fold = ReplyFold(told.job_id, told.model, told.created)
    if told.state != REMEMBERS:
        return Folding(reply)
    remember = Remembering(door.thinking, told.account, told.model)
    return Folding(remember.fold(reply), remember.keep)


CHAT: Final = Operation(PATH, NAME, ask, fold)
