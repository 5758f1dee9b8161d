"""What a sound is, told by decoding it."""

import io
import math
from array import array
from itertools import pairwise
from typing import Final, NamedTuple

import av
from av.audio.stream import AudioStream

from schemas.media import AudioFormat

FULL: Final = 32767


class Heard(NamedTuple):
    """`loudest` is a share of full scale; `crossings_hz` is the pitch of a pure tone."""

    codec: str
    rate_hz: int
    seconds: float
    loudest: float
    crossings_hz: float


def heard(data: bytes, output: AudioFormat) -> Heard:
    """OpenAI's pcm says nothing of itself: it is 24 kHz, 16-bit, little-endian and mono."""
    raw = {"format": "s16le", "options": {"sample_rate": "24000", "ch_layout": "mono"}} if output == "pcm" else {}
    with av.open(io.BytesIO(data), **raw) as container:
        stream = container.streams.audio[0]
        assert isinstance(stream, AudioStream)
        assert stream.channels == 1
        resampler = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        frames = [out for frame in container.decode(stream) for out in resampler.resample(frame)]
        samples = array("h")
        for frame in [*frames, *resampler.resample(None)]:
            samples.frombytes(bytes(frame.planes[0])[: frame.samples * 2])
        # Codecs put a little noise before and after.
        middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
        crossings = sum(1 for a, b in pairwise(middle) if a < 0 <= b)
        seconds = len(samples) / stream.rate
        loudest = max(map(abs, samples)) / FULL
        return Heard(stream.codec_context.codec.canonical_name, stream.rate, seconds, loudest, 2 * crossings / seconds)


def tone(hz: float, seconds: float, rate_hz: int, loudness: float = 0.5) -> bytes:
    """A pure tone as 16-bit little-endian samples."""
    return array(
        "h",
        (
            round(loudness * FULL * math.sin(2 * math.pi * hz * number / rate_hz))
            for number in range(int(seconds * rate_hz))
        ),
    ).tobytes()
