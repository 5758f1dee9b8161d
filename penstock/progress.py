"""Progress on a terminal, or in a log, without anything to load for it."""

import sys


def plain_progress(what: str, done: int, of: int) -> None:
    """On a terminal one line that counts; elsewhere a line at the beginning and one at the end."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)
    elif done in (0, of):
        print(f"{what}: {done} of {of}", file=sys.stderr, flush=True)
