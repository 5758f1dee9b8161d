"""Signed thinking that a client's dialect has no place for, kept in Redis until the turn comes back.

    penstock:thinking:{digest}   string  what was kept of a turn; the digest is of account, model and first tool call

Gone after KEEP_S, or earlier if Redis must make room: whoever asks can do without.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import msgspec

from storage.line import Line

KEEP_S: Final = 6 * 3600
"""Longer than a tool takes, and than most people take who are asked first."""

MAX_BYTES: Final = 256 * 1024
"""About 60,000 tokens of thinking; what is larger is not kept."""


class ThinkingStore:
    """What was kept of turns, by account, model and the id of the turn's first tool call.

    Every call is one round trip and raises Undecidable when Redis is out of reach.
    """

    def __init__(self, line: Line) -> None:
        self._line = line

    async def put(self, account: str, model: str, call_id: str, turn: bytes) -> bool:
        """False for a turn that is too large to be kept."""
        if len(turn) > MAX_BYTES:
            return False
        await self._line.call("SET", _key(account, model, call_id), turn, "EX", KEEP_S)
        return True

    async def get(self, account: str, model: str, call_ids: Sequence[str]) -> list[bytes | None]:
        """What was kept of each of the turns, None where nothing was or is any more; `call_ids` is not empty."""
        found: list[bytes | None] = await self._line.call("MGET", *[_key(account, model, each) for each in call_ids])
        return found


def _key(account: str, model: str, call_id: str) -> str:
    name = msgspec.msgpack.encode((account, model, call_id))
    return f"penstock:thinking:{hashlib.sha256(name, usedforsecurity=False).hexdigest()}"
