"""`penstock demo`: a stack of its own, one answer from a real model, the charge for it, and a video.

A program of its own, since nothing else here needs OpenAI's client.
"""

import asyncio
import sys
import tempfile
import time
from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path
from typing import Final

from openai import AsyncOpenAI
from openai.types import Video
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

VIDEO_MODEL: Final = "storyboard-video"
VIDEO_PROMPT: Final = "A drone shot over a dam in the mountains, at golden hour"
VIDEO_S: Final = 120.0
VIDEO_WAIT_S: Final = 30
WAITING: Final = ("queued", "in_progress")

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
            async with AsyncOpenAI(base_url=run.base_url, api_key=options.key_file.read_text().strip()) as client:
                completion_id = await _stream_answer(client)
                _show(screen, await _charge(run.database, job_id(completion_id)))
                await _make_video(client, screen)
            screen.tell("stopping")


def job_id(completion_id: str) -> str:
    """The job that a chat completion was: the two ids differ in what stands before them."""
    return "job_" + completion_id.removeprefix("chatcmpl-")


async def _stream_answer(client: AsyncOpenAI) -> str:
    """Print the answer chunk by chunk, and return the completion's id."""
    completion_id = ""
    stream = await client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": QUESTION}], max_tokens=MAX_TOKENS, stream=True
    )
    async for chunk in stream:
        completion_id = chunk.id
        for choice in chunk.choices:
            print(choice.delta.content or "", end="", flush=True)
    print("\n")
    return completion_id


async def _make_video(client: AsyncOpenAI, screen: Screen) -> None:
    """Submit a video, wait for it, and tell where it is and when it goes; raises StartFailed if none is made."""
    screen.tell(f"\n> {VIDEO_PROMPT}\n")
    # Not by `client.videos`, whose every method warns that another provider's model is gone.
    asked = {"model": VIDEO_MODEL, "prompt": VIDEO_PROMPT, "seconds": "2", "size": "854x480"}
    video = await client.post("/videos", body=asked, cast_to=Video)
    screen.tell(f"video {video.id}: {video.status}")
    give_up_at = time.monotonic() + VIDEO_S
    while video.status in WAITING and time.monotonic() < give_up_at:
        video = await client.get(f"/videos/{video.id}", options={"params": {"wait": VIDEO_WAIT_S}}, cast_to=Video)
        screen.tell(f"video {video.id}: {video.status}")
    if video.status != "completed" or video.expires_at is None:
        raise StartFailed(f"the video was not made: {video.error.message if video.error else video.status}")
    goes = datetime.fromtimestamp(video.expires_at).astimezone().strftime("%H:%M:%S %Z")
    screen.tell(f"its file, until {goes}: {(video.model_extra or {})['url']}")


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
    # It takes nothing: whoever asks for help, or misspells a command, does not want a stack to start.
    ArgumentParser("penstock demo", description="Shows the whole platform once, on a stack of its own.").parse_args()
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
