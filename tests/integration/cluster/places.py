"""Where each service is: an address of loopback's own for each, so that all keep the ports that compose.yaml gives."""

import random
import re
from collections.abc import Iterable
from typing import Final

EVERYWHERE: Final = re.compile(r"\b(?:0\.0\.0\.0|127\.0\.0\.1(?!/)|localhost)\b|(?<=://)(?=:\d)")
"""How a service names itself in a container: as what it listens on, or in its health check."""


class Places:
    """Addresses in a block of 127.0.0.0/8 that no other run on this machine is likely to have."""

    def __init__(self, names: Iterable[str]) -> None:
        block = f"127.{random.randrange(1, 255)}.{random.randrange(1, 255)}"
        self._at = {name: f"{block}.{number}" for number, name in enumerate(names, 10)}
        named = "|".join(sorted(map(re.escape, self._at), key=len, reverse=True))
        self._names = re.compile(rf"(?<![\w.-])(?:{named})(?=:\d)|(?<=-ip=)(?:{named})$")

    def of(self, name: str) -> str:
        return self._at[name]

    def told(self, text: str, of: str) -> str:
        """`text`, which the service `of` is told, with addresses in place of names."""
        named = self._names.sub(lambda found: self._at[found.group()], text)
        return EVERYWHERE.sub(self._at[of], named)
