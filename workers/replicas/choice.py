"""Which replica a request goes to."""

import random
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from workers.replicas.prefix import Load, score
from workers.replicas.replica import Replica

Any_ = TypeVar("Any_", bound=Replica[Any])

HOME_FACTOR: Final = 2.0
HOME_SPARE: Final = 8.0
"""A conversation's home may have so many times as much to do as the one with the least, and so much more: a prefix that
need not be read again is worth a wait, and beside a few requests there is none (decision 084 has the figures)."""


def choose(replicas: Sequence[Any_], load: Load) -> Any_ | None:
    """None where no request may go anywhere.

    One that is out of order gets the next request that comes once it may be tried. Otherwise a conversation goes home,
    or to the next in its order that is not far busier than others, and what is none to the one with the least to do, by
    chance among equals. Where none is ready, those are asked that have just failed or turned away a request, and where
    there are none of these either, all that may be tried, each of them by any number.
    """
    for replica in replicas:
        if replica.state == "open" and replica.triable:
            return replica
    able = (
        [replica for replica in replicas if replica.ready]
        or [replica for replica in replicas if replica.state == "closed"]
        or [replica for replica in replicas if replica.triable]
    )
    if len(able) <= 1:
        return able[0] if able else None
    least = min(replica.work for replica in able)
    if load.conversation is not None:
        bound = HOME_FACTOR * least + HOME_SPARE
        conversation = load.conversation
        within = [replica for replica in able if replica.work <= bound]
        return max(within, key=lambda replica: score(conversation, replica.address))
    return random.choice([replica for replica in able if replica.work == least])
