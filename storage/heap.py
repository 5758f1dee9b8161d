"""The memory of a process that has finished starting."""

import ctypes
import gc


def freeze_heap() -> None:
    """Takes everything that is there now out of the collector's sight, for good.

    What start-up made, modules above all, lives as long as the process; looking through it stopped every request for
    100 to 500 ms at each full collection. Call it once, when all is open.
    """
    gc.collect()
    gc.freeze()
    give_back_memory()


def give_back_memory() -> None:
    """Returns to the system what glibc would keep for later, 5 MB after a start; other C libraries keep theirs."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
