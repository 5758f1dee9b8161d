"""`python -m benchmarks.objects`: a large object through object storage and out of the door, and what memory it took.

Storage is what PENSTOCK_OBJECTS and its like say, or else a folder of its own.
"""

import argparse
import asyncio
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec
from starlette.types import Message, Scope

from ingress.app import create_app
from ingress.door import Door
from ingress.settings import IngressSettings
from storage.object_storage import open_objects
from storage.objects import Objects, ServedHere
from storage.settings import ObserveSettings, StorageSettings

MB: Final = 1_000_000
PIECE_BYTES: Final = 64 * 1024
"""As an upstream's answer comes in."""

WARM_MB: Final = 64
"""Goes through first, so that what is measured is what size adds."""

MOST_GROWN_MB: Final = 16.0
KEY: Final = "media/benchmark/job_1/video.mp4"


class Step(msgspec.Struct):
    """What one way cost; `grown_mb` is by how much the process's peak memory rose above that of a small object."""

    name: str
    seconds: float
    mb_per_s: float
    grown_mb: float


async def measure(objects: Objects, megabytes: int) -> list[Step]:
    ways: dict[str, Callable[[int], Awaitable[None]]] = {
        "put_stream": lambda size: _put(objects, size),
        "read": lambda size: _read(objects, size),
    }
    if isinstance(objects, ServedHere):
        ways["GET by a signed URL"] = lambda size: _serve(objects, size)
    steps = []
    for name, way in ways.items():
        await _put(objects, WARM_MB)
        await way(WARM_MB)
        if way is not ways["put_stream"]:
            await _put(objects, megabytes)
        peak_mb, started = _peak_mb(), time.perf_counter()
        await way(megabytes)
        taken_s = time.perf_counter() - started
        steps.append(Step(name, round(taken_s, 2), round(megabytes / taken_s, 1), round(_peak_mb() - peak_mb, 1)))
    await objects.delete(KEY)
    return steps


async def _put(objects: Objects, megabytes: int) -> None:
    async def source() -> AsyncIterator[bytes]:
        piece = os.urandom(PIECE_BYTES)
        for _ in range(megabytes * MB // PIECE_BYTES):
            yield piece
            await asyncio.sleep(0)

    await objects.put_stream(KEY, source(), content_type="video/mp4")


async def _read(objects: Objects, megabytes: int) -> None:
    async with aclosing(objects.read(KEY)) as pieces:
        seen = sum([len(piece) async for piece in pieces])
    assert seen > megabytes * MB - PIECE_BYTES, seen


async def _serve(objects: Objects, megabytes: int) -> None:
    """The whole app, called as a server would, with a client that takes everything at once."""
    door = Door(StorageSettings(), IngressSettings(), ObserveSettings())
    door.objects = objects
    url = urlsplit(await objects.signed_url(KEY, (time.time_ns() // 1_000_000) + 3_600_000))
    seen = 0

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        nonlocal seen
        assert message.get("status", 200) == 200, message
        seen += len(message.get("body", b""))

    scope: Scope = {
        **{"type": "http", "method": "GET", "path": unquote(url.path), "query_string": url.query.encode()},
        **{"headers": [], "client": ("127.0.0.1", 1), "root_path": "", "scheme": "http", "server": ("127.0.0.1", 1)},
    }
    await create_app(door)(scope, receive, send)
    assert seen > megabytes * MB - PIECE_BYTES, seen


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MB if sys.platform == "darwin" else MB / 1024)


async def _run(settings: StorageSettings, megabytes: int) -> list[Step]:
    async with open_objects(settings) as objects:
        return await measure(objects, megabytes)


def main() -> int:
    """The exit status: 0 when the memory does not grow with the object."""
    words = argparse.ArgumentParser(prog="python -m benchmarks.objects", description=__doc__)
    words.add_argument("--megabytes", type=int, default=500)
    megabytes = words.parse_args().megabytes
    with tempfile.TemporaryDirectory() as folder:
        settings = StorageSettings()
        if "PENSTOCK_OBJECTS" not in os.environ:
            settings = settings.model_copy(update={"objects": folder})
        steps = asyncio.run(_run(settings, megabytes))
    for step in steps:
        print(f"{step.name:22}{step.seconds:8.2f} s{step.mb_per_s:9.1f} MB/s   peak memory +{step.grown_mb:.1f} MB")
    return int(any(step.grown_mb > MOST_GROWN_MB for step in steps))


if __name__ == "__main__":
    sys.exit(main())
