"""`penstock demo`: a stack of its own, one answer from a real model, and the charge for it.

A program of its own, since nothing else here needs OpenAI's client.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from openai import AsyncOpenAI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from penstock.detach import COMPLAINT
from penstock.foreground import cancel_on_signals
from penstock.money import dollars
from penstock.options import StackOptions
from penstock.stack import running_stack
from storage.database import Database
from storage.ledger import Charge, Ledger
from storage.local.failure import StartFailed
from storage.local.ports import free_port

MODEL: Final = "smollm2-135m-instruct"
QUESTION: Final = "What does a water turbine do? Answer in two sentences."
MAX_TOKENS: Final = 96
LEDGER_S: Final = 20.0
LOOK_S: Final = 0.1


class Screen:
    """What a person sees: a bar for what takes time, and lines above it."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.bars = Progress(*columns, console=console, transient=True)
        self._tasks: dict[str, TaskID] = {}

    def tell(self, line: str) -> None:
        self.bars.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def progress(self, what: str, done: int, of: int) -> None:
        if what not in self._tasks:
            self.tell(f"{what} …")
            self._tasks[what] = self.bars.add_task(what, total=of)
        self.bars.update(self._tasks[what], completed=done, visible=done < of)


async def demo(screen: Screen, data: Path) -> None:
    """Start, ask, show the answer as it comes and its row in the ledger, stop; raises StartFailed."""
    cancel_on_signals(lambda: screen.tell("stopping"))
    options = StackOptions(data=data, port=free_port())
    options.make_folders()
    began_s = time.monotonic()
    with screen.bars:
        starting = screen.bars.add_task("starting the stack", total=None)
        async with running_stack(options, screen.tell, screen.progress) as run:
            screen.bars.remove_task(starting)
            screen.tell(f"ready after {time.monotonic() - began_s:.1f} s at {run.base_url}\n\n> {QUESTION}\n")
            screen.bars.stop()
            completion_id = await _stream_answer(run.base_url, options.key_file.read_text().strip())
            _show(screen, await _charge(run.database, job_id(completion_id)))
            screen.tell("stopping")


def job_id(completion_id: str) -> str:
    """The job that a chat completion was: the two ids differ in what stands before them."""
    return "job_" + completion_id.removeprefix("chatcmpl-")


async def _stream_answer(base_url: str, key: str) -> str:
    """Print the answer chunk by chunk, and return the completion's id."""
    completion_id = ""
    async with AsyncOpenAI(base_url=base_url, api_key=key) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_tokens=MAX_TOKENS, stream=True
        )
        async for chunk in stream:
            completion_id = chunk.id
            for choice in chunk.choices:
                print(choice.delta.content or "", end="", flush=True)
    print("\n")
    return completion_id


async def _charge(database_url: str, job: str) -> Charge:
    """The ledger's row for the job; raises StartFailed if streams does not write it in time."""
    database = await Database.open(database_url)
    try:
        async with asyncio.timeout(LEDGER_S):
            while (charge := await Ledger(database).row(job)) is None:  # noqa: ASYNC110 - streams is another process
                await asyncio.sleep(LOOK_S)
            return charge
    except TimeoutError:
        raise StartFailed(f"the ledger has no row for {job} after {LEDGER_S:.0f} s") from None
    finally:
        await database.close()


def _show(screen: Screen, charge: Charge) -> None:
    event = charge.event
    screen.tell(
        f"ledger: {event.job_id}  {event.end}  {event.model}  {event.usage.input_tokens} input tokens, "
        f"{event.usage.output_tokens} output tokens, ${dollars(charge.cost_microusd)} to account {event.account}"
    )


def main() -> int:
    screen = Screen(Console())
    try:
        with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
            asyncio.run(demo(screen, Path(folder)))
    except StartFailed as failure:
        print(f"{COMPLAINT}{failure}", file=sys.stderr)
        return 1
    except asyncio.CancelledError:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
