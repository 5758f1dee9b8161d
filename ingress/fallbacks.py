"""Which of a row's fallbacks may answer a chat in place of the model that was asked."""

from collections.abc import Iterator
from typing import Any

from ingress.abilities import asks_of
from ingress.auth import opens
from ingress.native import is_native
from ingress.rules import check_rule
from ingress.tokens import estimate_input_tokens
from schemas.access import AccessKey
from schemas.catalog import Catalog, Model
from schemas.chat import Chat
from schemas.errors import InvalidValue
from schemas.jobs import Fallback


def fallbacks_of(catalog: Catalog, model: Model, chat: Chat, key: AccessKey) -> tuple[Fallback, ...]:
    """Those that the key opens and that accept all the chat asks for, so that nothing is dropped on the way."""
    if not model.fallbacks:
        return ()
    able = [row for row in catalog.fallbacks(model) if opens(key, row.id) and accepts(row, chat)]
    return tuple(Fallback(row.id, row.price.microusd) for row in able)


def accepts(row: Model, chat: Chat) -> bool:
    """Whether a chat that another model's contract took is within this one's too.

    The bound of the output is not looked at: where the row's own is lower, it is the bound.
    """
    if any(ask not in row.abilities and ask not in row.inputs for ask in asks_of(chat)):
        return False
    if not is_native(row, chat):
        return False
    if estimate_input_tokens(chat) > row.context_tokens:
        return False
    rules = row.rules()
    return all(name in rules and _within(name, value, row) for name, value in _given(chat))


def _within(name: str, value: Any, row: Model) -> bool:
    try:
        check_rule(name, value, row.rules()[name])
    except InvalidValue:
        return False
    return True


def _given(chat: Chat) -> Iterator[tuple[str, Any]]:
    """The sampling parameters that the caller set, by the names of their rules."""
    sampling = chat.sampling
    for name in (
        "temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty", "repetition_penalty",
        "logit_bias", "top_logprobs", "seed",
    ):  # fmt: skip
        if (value := getattr(sampling, name)) is not None:
            yield name, value
    if sampling.logprobs:
        yield "logprobs", True
    if sampling.stop:
        yield "stop", list(sampling.stop)
    if sampling.choices != 1:
        yield "n", sampling.choices
