"""The instant upstream as a process of its own, so that its work is counted as nobody else's."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import msgspec

from benchmarks.instant import HOST, Counts

START_S: Final = 10.0
STOP_S: Final = 5.0


@dataclass(frozen=True)
class Upstream:
    """Speaks chat completions at `base_url`."""

    pid: int
    port: int

    @property
    def base_url(self) -> str:
        return f"http://{HOST}:{self.port}/v1"

    async def counts(self) -> Counts:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(b"GET /counts HTTP/1.1\r\nHost: upstream\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.rpartition(b": ")[2]))
        writer.close()
        return msgspec.json.decode(body, type=Counts)


@asynccontextmanager
async def running_upstream(port: int) -> AsyncIterator[Upstream]:
    """Listens on `port`, or on a free one for 0."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.instant", str(port)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise RuntimeError(f"the upstream did not start: status {await process.wait()}")
        yield Upstream(process.pid, int(line))
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(STOP_S):
                await process.wait()
