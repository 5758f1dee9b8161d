"""How a part tells whoever started it that it takes work."""

import os
from typing import Final

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
