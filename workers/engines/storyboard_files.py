"""The files of a storyboard's film, each made in a thread, from the film alone."""

import threading
from pathlib import Path
from typing import Final

import av

from schemas.errors import EngineFailed
from schemas.media import Film
from workers.engines.storyboard_frames import Storyboard

CODEC_OPTIONS: Final = {"preset": "veryfast", "crf": "26"}


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
