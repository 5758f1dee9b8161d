"""A request for a response from its bytes to its job: read, held to its model, joined with what was said before."""

import logging
from dataclasses import dataclass
from typing import Final

import msgspec

from ingress.answer import Keep
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.named import with_places
from ingress.past import past_of
from ingress.responses_contract import check_conversation, check_request
from ingress.tokens import reserve_tokens
from ingress.translate.openai_responses import (
    Head,
    Placed,
    ResponsesFold,
    head,
    kept,
    own,
    parse,
    places_of,
    said,
    to_chat,
)
from ingress.translate.openai_responses.transcript import Transcript
from schemas.access import AccessKey
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.errors import Undecidable
from schemas.jobs import Job
from schemas.wire.openai_responses import ResponsesRequest
from storage.limits import Scope
from storage.responses import Items, ResponseStore, StoredResponse, Ticket

OPERATION: Final = "responses"
ENCODE: Final = msgspec.json.Encoder().encode

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that its model accepts; `history` is what was said before it, `placed` is everything."""

    key: AccessKey
    model: Model
    request: ResponsesRequest
    history: Items
    placed: list[Placed]
    chat: Chat

    @property
    def stream(self) -> bool:
        return bool(self.request.stream)

    @property
    def stored(self) -> bool:
        """OpenAI stores what it is not told to forget."""
        return self.request.store is not False

    @property
    def tokens(self) -> int:
        return reserve_tokens(self.chat, self.model)

    def head(self, job: Job) -> Head:
        return head(self.request, self.model.id, job.id, job.accepted_at_ms // 1000, store=self.stored)

    def record(self, of: Transcript, ticket: Ticket | None = None) -> StoredResponse:
        items = kept(own(self.placed), of.head.number)
        return StoredResponse(of.head.id, self.key.account, ENCODE(of.body()), items, self.history, ticket)

    def keep(self, store: ResponseStore, answer: Transcript) -> Keep | None:
        """What puts a finished answer into the store; None where it is not to be stored.

        An answer that cannot be stored is given all the same: it is there, and it is charged.
        """

        async def put() -> None:
            try:
                await store.put(self.record(answer))
            except Undecidable:
                log.exception("response_not_stored", extra={"response": answer.head.id, "account": self.key.account})

        return put if self.stored else None

    def pending(self, job: Job, scopes: tuple[Scope, ...]) -> StoredResponse:
        """The record of this request while it waits in the background."""
        fold = ResponsesFold(self.head(job), _never)
        fold.status = "queued"
        return self.record(fold, Ticket(job.lane, job.deadline_ms, job.stream, scopes, self.tokens))


async def ask(door: Door, asked: Incoming) -> Asked:
    """Reads and checks a request. Raises what is wrong with it, or Undecidable."""
    request = parse(asked.body)
    model = door.catalog.find(request.model)
    asked.authorize(model)
    check_request(model, request)
    past = await past_of(door.responses, asked.key.account, request)
    placed = said(request, past.history, past.known)
    chat = to_chat(request, placed, model)
    check_conversation(model, request, placed, chat)
    return Asked(asked.key, model, request, past.history, placed, with_places(chat, places_of(request, placed)))


def _never() -> float:
    raise AssertionError("what is queued has no end")
