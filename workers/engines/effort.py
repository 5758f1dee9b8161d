"""How long to reason: a word for it, and tokens for it."""

from collections.abc import Mapping
from typing import Final

from schemas.chat import Effort

SHARES: Final[Mapping[Effort, float]] = {
    "minimal": 0.2,
    "low": 0.2,
    "medium": 0.5,
    "high": 0.8,
    "xhigh": 0.95,
    "max": 0.95,
}
"""DigitalOcean's: the part of the output limit that may be thought (its documentation, 2026-11)."""

LEAST_BUDGET_TOKENS: Final = 1024
"""Anthropic's."""


def budget_tokens(effort: Effort, max_tokens: int) -> int | None:
    """The tokens to think with, of an output limit that has to hold the answer too; None where it has no room."""
    if effort not in SHARES:
        return None
    return within(int(SHARES[effort] * max_tokens), max_tokens)


def within(budget: int, max_tokens: int) -> int | None:
    """A budget that a provider takes beside this output limit; None where there is none."""
    if max_tokens <= LEAST_BUDGET_TOKENS:
        return None
    return min(max(budget, LEAST_BUDGET_TOKENS), max_tokens - 1)


def effort_of(budget: int, max_tokens: int) -> Effort:
    """The word for a budget, for engines that are only told a word."""
    share = budget / max(1, max_tokens)
    words: tuple[Effort, ...] = ("low", "medium", "high")
    return next((word for word in words if share <= SHARES[word]), "max")
