"""A worker's name is its own, or it stops."""

import asyncio
from typing import Final

from schemas.errors import Undecidable
from storage.line import Line
from storage.worker_names import holds_name
from workers.engines.setup import SetupError

LOOK_S: Final = 1.0


async def keep_name(line: Line, name: str, incarnation: str) -> None:
    """Holds a name that was taken, for ever. Raises SetupError when another worker takes it."""
    while True:
        try:
            held = await holds_name(line, name, incarnation)
        except Undecidable:
            held = True
        if not held:
            raise SetupError(
                f"another worker was started under the name '{name}': give each that runs its own PENSTOCK_WORKER_NAME"
            )
        await asyncio.sleep(LOOK_S)
