"""How a part tells whoever started it that it takes work."""

import os
from typing import Final

from storage.heap import freeze_heap

READY_FD: Final = "PENSTOCK_READY_FD"
"""Names the open file descriptor that the word goes to."""

WORD: Final = b"ready\n"


def notify_ready() -> None:
    """Say that this process takes work, once; says nothing where nobody asked to be told."""
    descriptor = os.environ.pop(READY_FD, None)
    if descriptor is None:
        return
    with os.fdopen(int(descriptor), "wb") as listener:
        listener.write(WORD)


def started() -> None:
    """What a process does once all that it holds is open."""
    freeze_heap()
    notify_ready()
