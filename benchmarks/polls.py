"""`python -m benchmarks.polls`: how long a poll of a long job takes, one at a time and with many at once."""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import msgspec
import uvloop

from benchmarks.figures import quantile
from benchmarks.parts import PartGone
from benchmarks.show import shown_bounds
from benchmarks.stack import CommandFailed, running_stack
from benchmarks.tables import table
from benchmarks.targets import Bound

NO_UPSTREAM: Final = "http://127.0.0.1:9/v1"
MODEL: Final = "storyboard-video"
MOST_MS: Final = 5.0
AT_ONCE: Final = (1, 16)
WARM: Final = 50
WAIT_S: Final = 60


class Polls(msgspec.Struct, frozen=True):
    """One state, polled by so many clients at once."""

    title: str
    at_once: int
    p50_ms: float
    p99_ms: float
    per_s: float


class Connection:
    """HTTP/1.1 over one kept connection, with next to nothing of its own."""

    def __init__(self, base_url: str, key: str) -> None:
        self._host, _, self._path = base_url.removeprefix("http://").partition("/")
        self._key = key

    async def open(self) -> "Connection":
        host, _, port = self._host.partition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port))
        return self

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        sent = msgspec.json.encode(body) if body is not None else b""
        head = f"{method} /{self._path}{path} HTTP/1.1\r\nhost: {self._host}\r\nauthorization: Bearer {self._key}\r\n"
        self._writer.write(f"{head}content-length: {len(sent)}\r\n\r\n".encode() + sent)
        status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        sizes = [int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")]
        answer: dict[str, Any] = msgspec.json.decode(await self._reader.readexactly(sizes[0]))
        if status.split(" ")[1] not in {"200", "202"}:
            raise CommandFailed(f"{method} {path}: {answer}")
        return answer

    def close(self) -> None:
        self._writer.close()


async def measure_polls(requests: int) -> list[Polls]:
    """Raises CommandFailed when the stack does not start, or a poll fails."""
    folder = Path(tempfile.mkdtemp(prefix="penstock-bench-"))
    async with running_stack(folder, NO_UPSTREAM) as stack:
        connections = [await Connection(stack.base_url, stack.key).open() for _ in range(max(AT_ONCE))]
        asked = {"model": MODEL, "prompt": "A dam", "seconds": 1, "size": "480p"}
        done = await connections[0].ask("POST", "/videos", asked)
        done = await connections[0].ask("GET", f"/videos/{done['id']}?wait={WAIT_S}")
        seen = [await _polled(f"/videos/{done['id']}", done["status"], connections[:n], requests) for n in AT_ONCE]
        for connection in connections:
            connection.close()
    shutil.rmtree(folder)
    return seen


async def _polled(path: str, title: str, connections: list[Connection], requests: int) -> Polls:
    async def poll(connection: Connection) -> list[float]:
        taken_s = []
        for _ in range(WARM + requests // len(connections)):
            began = time.perf_counter()
            await connection.ask("GET", path)
            taken_s.append(time.perf_counter() - began)
        return taken_s[WARM:]

    began = time.perf_counter()
    taken = sorted(each * 1000 for one in await asyncio.gather(*map(poll, connections)) for each in one)
    per_s = (len(taken) + WARM * len(connections)) / (time.perf_counter() - began)
    return Polls(title, len(connections), quantile(taken, 0.5), quantile(taken, 0.99), per_s)


def bounds(seen: list[Polls]) -> list[Bound]:
    return [Bound("a poll, 1 at a time, p50", "ms", seen[0].p50_ms, most=MOST_MS)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls", description=__doc__)
    parser.add_argument("--requests", type=int, default=2000, help="polls of each kind")
    asked = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            seen = runner.run(measure_polls(asked.requests))
        except (CommandFailed, PartGone) as failure:
            print(f"benchmarks: {failure}", file=sys.stderr)
            return 2
    rows = [
        (each.title, str(each.at_once), f"{each.p50_ms:.2f}", f"{each.p99_ms:.2f}", f"{each.per_s:.0f}")
        for each in seen
    ]
    print(
        table(("a job that is", "at once", "p50 ms", "p99 ms", "polls/s"), rows), shown_bounds(bounds(seen)), sep="\n\n"
    )
    return 0 if all(bound.met for bound in bounds(seen)) else 1


if __name__ == "__main__":
    sys.exit(main())
