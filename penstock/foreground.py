"""A stack that runs until somebody says stop."""

import asyncio
import logging
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from penstock.options import StackOptions
from penstock.run_file import Run
from penstock.stack import running_stack
from penstock.supervisor import Tell
from storage.local.jars import Progress

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_in_foreground(options: StackOptions, tell: Tell, progress: Progress, announce: Callable[[Run], None]) -> None:
    """Calls `announce` when all is ready; returns after Ctrl-C, SIGTERM or SIGHUP, once everything has stopped.

    Raises StartFailed.
    """
    log = options.logs / "supervisor.log"
    logging.basicConfig(filename=log, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    with suppress(asyncio.CancelledError):
        asyncio.run(_until_told(options, tell, progress, announce))


def cancel_on_signals(on_first: Callable[[], None]) -> None:
    """Have the first of the signals that end a program cancel the current task, whose clean-up then has its time."""
    task = asyncio.current_task()
    assert task is not None
    told = False

    def end() -> None:
        # Once only: a second signal would cut off the clean-up itself.
        nonlocal told
        if not told:
            told = True
            on_first()
            task.cancel()

    for number in SIGNALS:
        # nohup and a shell's background have some of them ignored, and mean it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            asyncio.get_running_loop().add_signal_handler(number, end)


async def _until_told(options: StackOptions, tell: Tell, progress: Progress, announce: Callable[[Run], None]) -> None:
    cancel_on_signals(lambda: tell("stopping"))
    async with running_stack(options, tell, progress) as run:
        announce(run)
        await asyncio.Event().wait()
