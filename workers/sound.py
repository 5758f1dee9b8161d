"""Sound in the format that was asked for, encoded as it is made."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final, NamedTuple

import av
from av.audio.stream import AudioStream

from schemas.media import AudioFormat

SAMPLE_BYTES: Final = 2
"""Samples are 16-bit, signed, little-endian, of one channel."""


class _Coding(NamedTuple):
    """`rate_hz` is what the format wants whatever the voice's own is; 0 bits a second leave it to the codec."""

    container: str
    codec: str
    rate_hz: int | None = None
    bits_per_s: int = 0
    options: Mapping[str, str] = {}


CODINGS: Final[Mapping[AudioFormat, _Coding]] = {
    # No tag in front and no table of contents: they would be written once the end is known.
    "mp3": _Coding("mp3", "libmp3lame", None, 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    # Opus knows five rates. A page is sent when it is full, by default of a second's sound: here of a tenth.
    "opus": _Coding("ogg", "libopus", 24_000, 32_000, {"page_duration": "100000"}),
    "aac": _Coding("adts", "aac", None, 64_000),
    "flac": _Coding("flac", "flac"),
    # Its header says that the length is not known, as that of every WAV which is streamed.
    "wav": _Coding("wav", "pcm_s16le"),
    # OpenAI's: "24kHz (16-bit signed, low-endian), without the header".
    "pcm": _Coding("s16le", "pcm_s16le", 24_000),
}


class _Gathered:
    """A file that can be written to and not gone back in."""

    def __init__(self) -> None:
        self._data = bytearray()

    def write(self, data: bytes) -> int:
        self._data += data
        return len(data)

    def taken(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        return data


class SoundEncoder:
    """One sound: samples in, the bytes of its format out as soon as the codec has them.

    Opening takes a few milliseconds, so it is best done while there are no samples yet.
    """

    def __init__(self, output: AudioFormat, rate_hz: int) -> None:
        coding = CODINGS[output]
        self._gathered = _Gathered()
        self._rate_hz = rate_hz
        self._samples = 0
        options = {**coding.options, "flush_packets": "1"}
        self._container = av.open(self._gathered, "w", format=coding.container, options=options)
        stream = self._container.add_stream(coding.codec, rate=coding.rate_hz or rate_hz, layout="mono")
        assert isinstance(stream, AudioStream), "a codec of sound makes a stream of sound"
        self._stream = stream
        if coding.bits_per_s:
            stream.bit_rate = coding.bits_per_s

    def feed(self, samples: bytes) -> bytes:
        """What the format has to say by now, which may be nothing yet."""
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples) // SAMPLE_BYTES)
        frame.planes[0].update(samples)
        frame.sample_rate, frame.time_base, frame.pts = self._rate_hz, Fraction(1, self._rate_hz), self._samples
        self._samples += frame.samples
        self._container.mux(self._stream.encode(frame))
        return self._gathered.taken()

    def end(self) -> bytes:
        """What was held back, and what ends the sound."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._gathered.taken()
