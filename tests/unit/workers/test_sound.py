"""Every format, decoded by who knows nothing of how it was made."""

import io
import wave
from typing import Final, get_args

import pytest

from schemas.media import AudioFormat
from tests.hearing import heard, tone
from workers.sound import SoundEncoder

VOICE_HZ: Final = 22_050
"""The rate of Piper's medium voices."""

RATES: Final[dict[AudioFormat, int]] = {
    "mp3": VOICE_HZ,
    "opus": 48_000,
    "aac": VOICE_HZ,
    "flac": VOICE_HZ,
    "wav": VOICE_HZ,
    "pcm": 24_000,
}
"""What a decoder hears: Opus is always decoded to 48 kHz, OpenAI's pcm is 24 kHz."""

CODECS: Final[dict[AudioFormat, str]] = {
    "mp3": "mp3",
    "opus": "opus",
    "aac": "aac",
    "flac": "flac",
    "wav": "pcm_s16le",
    "pcm": "pcm_s16le",
}
MAGIC: Final[dict[AudioFormat, bytes]] = {"opus": b"OggS", "flac": b"fLaC", "wav": b"RIFF"}

every_format = pytest.mark.parametrize("output", get_args(AudioFormat))


def encoded(output: AudioFormat, samples: bytes, piece_bytes: int = 4410, rate_hz: int = VOICE_HZ) -> list[bytes]:
    encoder = SoundEncoder(output, rate_hz)
    pieces = [encoder.feed(samples[at : at + piece_bytes]) for at in range(0, len(samples), piece_bytes)]
    return [*pieces, encoder.end()]


@every_format
def test_a_tone_comes_back_as_long_as_loud_and_as_high_as_it_was(output: AudioFormat) -> None:
    sound = heard(b"".join(encoded(output, tone(440, 2, VOICE_HZ))), output)
    assert (sound.codec, sound.rate_hz) == (CODECS[output], RATES[output])
    assert sound.seconds == pytest.approx(2, abs=0.12), "codecs add up to two frames of their own"
    assert sound.loudest == pytest.approx(0.5, abs=0.1)
    assert sound.crossings_hz == pytest.approx(440, rel=0.05)


@every_format
def test_silence_is_silent(output: AudioFormat) -> None:
    assert heard(b"".join(encoded(output, bytes(2 * VOICE_HZ))), output).loudest < 0.001


@every_format
def test_it_is_encoded_as_it_is_made(output: AudioFormat) -> None:
    pieces = encoded(output, tone(440, 4, VOICE_HZ))
    half = len(pieces) // 2
    whole_bytes = len(b"".join(pieces))
    assert b"".join(pieces[:5]), "half a second is enough to begin with"
    assert len(b"".join(pieces[:half])) > 0.35 * whole_bytes, "what is said is not held back until the end"
    assert b"".join(pieces).startswith(MAGIC.get(output, b""))


@every_format
@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_voices_of_other_rates(output: AudioFormat, rate_hz: int) -> None:
    sound = heard(b"".join(encoded(output, tone(440, 1, rate_hz), rate_hz=rate_hz)), output)
    assert sound.seconds == pytest.approx(1, abs=0.12)
    assert sound.crossings_hz == pytest.approx(440, rel=0.1)


def test_the_size_of_the_pieces_changes_nothing() -> None:
    samples = tone(300, 1, VOICE_HZ)
    assert b"".join(encoded("mp3", samples, 200)) == b"".join(encoded("mp3", samples, len(samples)))


def test_a_wav_is_read_by_those_who_know_no_streams() -> None:
    samples = tone(440, 1, VOICE_HZ)
    with wave.open(io.BytesIO(b"".join(encoded("wav", samples)))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, VOICE_HZ)
        assert file.readframes(10 * VOICE_HZ) == samples
