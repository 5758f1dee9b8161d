"""A development model: a real MP4 of the size, length and frame rate asked for, whose only art is the prompt itself."""

import asyncio
import tempfile
import threading
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import av

from schemas.catalog import Model
from schemas.errors import EngineFailed, InternalError
from schemas.media import Film
from storage.async_record import Made, RemoteFile
from workers.engines.film_units import film_usage
from workers.engines.setup import SetupError
from workers.engines.storyboard_frames import Storyboard
from workers.job_engine import JobAsked

PIECE_BYTES: Final = 256 * 1024
CODEC_OPTIONS: Final = {"preset": "veryfast", "crf": "26"}

AT_ONCE: Final = 2
"""Films that are made at once; each takes a core and some 60 MB."""

VIDEO: Final = RemoteFile("video.mp4", "video", "video/mp4")
THUMBNAIL: Final = RemoteFile("thumbnail.webp", "thumbnail", "image/webp")


class StoryboardVideo:
    """Begins nothing until its files are read: each is made then, in a thread, from the job alone."""

    def __init__(self, model: Model, secret: str | None) -> None:
        assert model.video is not None, model.id
        for size in model.video.sizes:
            if any(int(side) % 2 for side in size.split("x")):
                raise SetupError(f"model '{model.id}': size {size}: H.264 needs even sides")
        self._unit = model.price.unit
        self._room = asyncio.Semaphore(AT_ONCE)

    async def start(self, asked: JobAsked) -> str:
        return asked.id

    async def find(self, asked: JobAsked) -> str | None:
        return asked.id

    async def poll(self, asked: JobAsked, handle: str) -> Made:
        return Made(film_usage(self._unit, _film(asked)), (VIDEO, THUMBNAIL))

    async def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        make = {VIDEO.ref: make_video, THUMBNAIL.ref: make_thumbnail}[file.ref]
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
        """Nothing is open."""


def make_video(film: Film, path: Path, stop: threading.Event) -> None:
    """Writes an MP4, frame by frame, whose index stands before its pictures."""
    story = Storyboard(film)
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = container.add_stream("libx264", rate=film.fps, options=CODEC_OPTIONS)
            stream.width, stream.height = story.size
            stream.pix_fmt = "yuv420p"
            for number in range(story.frames):
                if stop.is_set():
                    return
                picture = av.VideoFrame.from_image(story.frame(number))  # type: ignore[no-untyped-call]
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
    except av.FFmpegError as failure:
        raise EngineFailed(f"The video could not be encoded: {failure}") from failure


def make_thumbnail(film: Film, path: Path, stop: threading.Event) -> None:
    story = Storyboard(film)
    picture = story.frame(story.frames // 2)
    picture.thumbnail((512, 512))
    picture.save(path, "WEBP", quality=80)


def _film(asked: JobAsked) -> Film:
    if not isinstance(asked.work, Film):
        raise InternalError("This model makes videos.")
    return asked.work
