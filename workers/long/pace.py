"""How long until a long job is looked at again."""

from typing import Final

FIRST_POLL_S: Final = 0.5
LAST_POLL_S: Final = 8.0
POLL_GROWTH: Final = 1.4

FIRST_PAUSE_S: Final = 1.0
LAST_PAUSE_S: Final = 30.0


def poll_ms(polls: int, asked_s: float | None = None) -> int:
    """From one look to the next, number `polls` from 0; an engine that says when to ask again is asked then."""
    usual_s = min(LAST_POLL_S, FIRST_POLL_S * POLL_GROWTH ** min(polls, 40))
    return round(1000 * (usual_s if asked_s is None else min(LAST_PAUSE_S, max(FIRST_POLL_S, asked_s))))


def retry_ms(tries: int, asked_s: float | None, random: float) -> int:
    """After failure number `tries` in a row, from 1; `random` is from [0, 1) and spreads those that failed together."""
    usual_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(tries - 1, 20))
    return round(1000 * max(usual_s * (1 - random / 4), min(asked_s or 0.0, LAST_PAUSE_S)))
