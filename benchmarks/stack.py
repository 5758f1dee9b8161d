"""A whole Penstock, started and stopped by its own command line as a stranger would."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.instant import PACED
from storage.local.ports import free_port

COMMAND_S: Final = 120.0
INSTANT: Final = "instant"
SUPERVISOR: Final = "supervisor"
STORE: Final = "valkey"

CATALOG: Final = """\
models:
  - {{id: {instant}, modality: text, engine: openai_compatible, base_url: {url}, {bounds}}}
  - {{id: {paced}, modality: text, engine: openai_compatible, base_url: {url}, {bounds}}}
"""
BOUNDS: Final = "context_tokens: 32768, max_output_tokens: 4096"


class CommandFailed(Exception):
    """The command line did not do what it was told, and has said why."""


@dataclass(frozen=True)
class Stack:
    """A stack that is ready, and how long `penstock up` took to say so."""

    data: Path
    base_url: str
    key: str
    started_s: float

    async def pids(self) -> dict[str, int]:
        """The process of every part that runs now, the supervisor's among them."""
        status = json.loads(await penstock("status", "--json", "--data", str(self.data)))
        return {SUPERVISOR: status["pid"], **{part["name"]: part["pid"] for part in status["parts"] if part["pid"]}}

    async def redis_url(self) -> str:
        return str(json.loads(await penstock("status", "--json", "--data", str(self.data)))["redis"])

    async def kafka(self) -> str:
        return str(json.loads(await penstock("status", "--json", "--data", str(self.data)))["kafka"])


@asynccontextmanager
async def running_stack(folder: Path, upstream_url: str, more: Sequence[str] = ()) -> AsyncIterator[Stack]:
    """A stack on a free port whose models `instant` and `paced` are the upstream's; it is stopped in the end.

    `more` are further words for `penstock up`.
    """
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG.format(instant=INSTANT, paced=PACED, url=upstream_url, bounds=BOUNDS))
    data = folder / "data"
    options = ["--data", str(data), "--catalog", str(catalog), "--port", str(free_port()), *more]
    began = time.perf_counter()
    try:
        printed = await penstock("up", "--detach", "--json", *options)
        started_s = time.perf_counter() - began
        up: dict[str, Any] = json.loads(printed.strip().splitlines()[-1])
        yield Stack(data, up["base_url"], up["key"], started_s)
    finally:
        await penstock("down", "--data", str(data))


async def penstock(*words: str) -> str:
    """What the command printed; its progress and complaints go to the terminal. Raises CommandFailed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "penstock", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(COMMAND_S):
            printed, _ = await process.communicate()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        raise CommandFailed(f"penstock {words[0]} ended with status {process.returncode}")
    return printed.decode()
