"""A development model: a real MP4 of the size, length and frame rate asked for, whose only art is the prompt itself."""

import asyncio
import pkgutil
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import Final

from schemas.catalog import Model
from schemas.errors import InternalError
from schemas.media import Film
from storage.async_record import Made, RemoteFile
from workers.engines.film_units import film_usage
from workers.engines.once import Once
from workers.engines.setup import SetupError, need
from workers.job_engine import JobAsked

PIECE_BYTES: Final = 256 * 1024

Make = Callable[[Film, Path, threading.Event], None]

AT_ONCE: Final = 2
"""Films that are made at once; each takes a core and some 60 MB."""

VIDEO: Final = RemoteFile("video.mp4", "video", "video/mp4")
THUMBNAIL: Final = RemoteFile("thumbnail.webp", "thumbnail", "image/webp")

FILES: Final = "workers.engines.storyboard_files"
MAKERS: Final = {VIDEO.ref: f"{FILES}:make_video", THUMBNAIL.ref: f"{FILES}:make_thumbnail"}
"""By name and not by import: FFmpeg and Pillow wait until somebody wants a film."""


class StoryboardVideo:
    """Begins nothing until its files are read: each is made then, in a thread, from the job alone."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.video is not None, model.id
        for size in model.video.sizes:
            if any(int(side) % 2 for side in size.split("x")):
                raise SetupError(f"model '{model.id}': size {size}: H.264 needs even sides")
        need(model, "av", "PIL")
        self._makers = {ref: Once[Make](model.id, partial(pkgutil.resolve_name, name)) for ref, name in MAKERS.items()}
        self._unit = model.price.unit
        self._room = asyncio.Semaphore(AT_ONCE)

    async def start(self, asked: JobAsked) -> str:
        return asked.id

    async def find(self, asked: JobAsked) -> str | None:
        return asked.id

    async def poll(self, asked: JobAsked, handle: str) -> Made:
        return Made(film_usage(self._unit, _film(asked)), (VIDEO, THUMBNAIL))

    async def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        make = await self._makers[file.ref].get()
        stop = threading.Event()
        with tempfile.TemporaryDirectory(prefix="storyboard-") as folder:
            path = Path(folder) / file.name
            async with self._room:
                making = asyncio.create_task(asyncio.to_thread(make, _film(asked), path, stop))
                try:
                    await asyncio.shield(making)
                except asyncio.CancelledError:
                    # The folder may go only when nobody writes there any more.
                    stop.set()
                    await asyncio.wait({making})
                    raise
            with path.open("rb") as made:
                while piece := await asyncio.to_thread(made.read, PIECE_BYTES):
                    yield piece

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        """There is nothing to stop: what is made is made within a step."""

    async def close(self) -> None:
        await asyncio.gather(*[each.close() for each in self._makers.values()])


def _film(asked: JobAsked) -> Film:
    if not isinstance(asked.work, Film):
        raise InternalError("This model makes videos.")
    return asked.work
