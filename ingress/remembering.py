"""Signed thinking between two requests of a client that has no place for it: kept at a turn's end, found as it returns.

Nothing here fails a request: what cannot be kept or found is left out, and the model answers without having it back.
"""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from ingress.abilities import asks_to_reason
from ingress.answer import Fold, Writer
from ingress.signed_turn import ENCODER, SignedTurn, first_call, restored
from schemas.catalog import Model
from schemas.chat import Chat, Message
from schemas.chunks import Chunk
from schemas.dialects import ANTHROPIC
from schemas.errors import ErrorData, Undecidable
from storage.thinking import ThinkingStore

MOST_TURNS: Final = 64
"""Of one conversation, counted from its end."""

log = logging.getLogger(__name__)


async def recall(store: ThinkingStore, account: str, model: Model, chat: Chat) -> Chat:
    """The chat with the signed thinking that its turns with tool calls had, as far as it is still there.

    Redis is asked once, and only for a model that is to think and wants its thinking back. If the last such turn has
    lost its own, the model will not think on, and the others' is of no use.
    """
    if model.dialect != ANTHROPIC or not asks_to_reason(chat.reasoning):
        return chat
    missing = {
        number: call_id for number, message in enumerate(chat.messages) if (call_id := first_call(message)) is not None
    }
    if not missing:
        return chat
    looked_for = dict(list(missing.items())[-MOST_TURNS:])
    try:
        found = await store.get(account, model.id, list(looked_for.values()))
    except Undecidable as failure:
        log.warning("thinking_not_recalled", extra={"account": account, "reason": failure.message})
        return chat
    messages = list(chat.messages)
    whole: Message | None = None
    for number, kept in zip(looked_for, found, strict=True):
        whole = restored(messages[number], kept) if kept is not None else None
        messages[number] = whole or messages[number]
    return chat if whole is None else msgspec.structs.replace(chat, messages=tuple(messages))


class Remembering:
    """Listens to an answer; `keep` is awaited at its end, before the client has all of it."""

    def __init__(self, store: ThinkingStore, account: str, model: str) -> None:
        self._store = store
        self._account = account
        self._turn = SignedTurn(model)

    def writer(self, writer: Writer) -> Writer:
        return _Writer(self._turn, writer)

    def fold(self, fold: Fold) -> Fold:
        return _Fold(self._turn, fold)

    async def keep(self) -> None:
        kept = self._turn.kept()
        if kept is None:
            return
        try:
            small = await self._store.put(self._account, self._turn.model, kept.calls[0].id, ENCODER.encode(kept))
        except Undecidable as failure:
            log.warning("thinking_not_kept", extra={"account": self._account, "reason": failure.message})
            return
        if not small:
            log.info("thinking_not_kept", extra={"account": self._account, "reason": "It is too large."})


def remembering(store: ThinkingStore, account: str, model: Model, chat: Chat) -> Remembering | None:
    """None where the answer can hold nothing that must be kept, which is nearly everywhere."""
    return Remembering(store, account, model.id) if model.dialect == ANTHROPIC and chat.tools else None


class _Writer:
    def __init__(self, turn: SignedTurn, writer: Writer) -> None:
        self._turn = turn
        self._writer = writer

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        self._turn.add(chunks)
        return self._writer.write(chunks)


class _Fold:
    def __init__(self, turn: SignedTurn, fold: Fold) -> None:
        self._turn = turn
        self._fold = fold
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        self._turn.add(chunks)
        self._fold.add(chunks)
        self.error = self._fold.error

    def reply(self) -> bytes:
        return self._fold.reply()
