"""A Piper voice in memory: text to sentences, sentences to samples, and the ways to stop in between."""

import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import onnxruntime
from piper import PiperConfig, PiperVoice, SynthesisConfig

from schemas.catalog import Model
from schemas.media import Speak
from workers.engines.mailbox import Mailbox
from workers.engines.piper_files import Options, model_file
from workers.engines.setup import SetupError
from workers.sound import SAMPLE_BYTES, SoundEncoder

MOST_PHONEMES: Final = 300
"""Of what is computed at once, about eight seconds of speech.

Piper takes a sentence at once, and memory grows faster than its length: 800 words without a full stop took 4.8 GB
(2026-11).
"""

PIECE_S: Final = 0.1
"""What is encoded at once: the first bytes do not wait for a whole sentence to be encoded."""

HEAD_START_S: Final = 0.003
"""What the event loop is left alone for to send the first bytes on; it would wait for the interpreter's lock, again and
again, while the rest of the sentence is encoded."""

MOST_THREADS: Final = 4
"""More threads do not make a model of this size faster."""


class Speech:
    """One text on its way to sound; `stop` may come from any thread and takes effect within the running sentence."""

    def __init__(self, voice: "Voice") -> None:
        self._run = onnxruntime.RunOptions()
        self._rate_hz = voice.rate_hz
        self._piper = _Pieces(session=_Stoppable(voice.session, self._run), config=voice.config)

    def speak(self, asked: Speak, mailbox: Mailbox) -> None:
        """One whole text, in a thread; what is closed in the middle ends there."""
        encoder = SoundEncoder(asked.output_format, self._rate_hz)
        piece_bytes = int(PIECE_S * self._rate_hz) * SAMPLE_BYTES
        spoken = sent = False
        for samples in self.samples(asked.text, asked.voice, asked.speed):
            spoken = spoken or bool(samples)
            for begin in range(0, len(samples), piece_bytes):
                encoded = encoder.feed(samples[begin : begin + piece_bytes])
                if mailbox.put(0, encoded):
                    return
                if encoded and not sent:
                    sent = True
                    time.sleep(HEAD_START_S)
        if spoken:
            mailbox.put(0, encoder.end())

    def samples(self, text: str, voice: str, speed: float) -> Iterator[bytes]:
        """16-bit samples, a sentence at a time. Raises what onnxruntime does, also when it was stopped."""
        config = self._piper.config
        asked = SynthesisConfig(speaker_id=config.speaker_id_map.get(voice), length_scale=config.length_scale / speed)
        # espeak reads C's strings, which end at a NUL.
        for chunk in self._piper.synthesize(text.replace("\0", " "), asked):
            yield chunk.audio_int16_bytes

    def stop(self) -> None:
        self._run.terminate = True


class Voice:
    """What all speech of one row shares."""

    def __init__(self, session: Any, config: PiperConfig) -> None:
        self.session = session
        self.config = config

    def speech(self) -> Speech:
        return Speech(self)

    @property
    def rate_hz(self) -> int:
        return self.config.sample_rate


class _Stoppable:
    """An onnxruntime session whose runs can be ended."""

    def __init__(self, session: Any, options: Any) -> None:
        self._session = session
        self._options = options

    def run(self, outputs: Sequence[str] | None, inputs: Any) -> Any:
        return self._session.run(outputs, inputs, self._options)


class _Pieces(PiperVoice):
    def phonemize(self, text: str) -> list[list[str]]:
        return [piece for sentence in super().phonemize(text) for piece in pieces(sentence)]


def pieces(sentence: Sequence[str]) -> Iterator[list[str]]:
    """A sentence's phonemes; one that is too long is parted between words, or, where there are none, anywhere."""
    begin = 0
    while len(sentence) - begin > MOST_PHONEMES:
        most = begin + MOST_PHONEMES
        space = next((at for at in range(most - 1, begin, -1) if sentence[at] == " "), most - 1)
        yield list(sentence[begin : space + 1])
        begin = space + 1
    yield list(sentence[begin:])


def load(model: Model, options: Options) -> Voice:
    """The voice in memory and warm; takes a second or two, so not on the event loop. Raises SetupError."""
    path = model_file(model, options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads or _threads()
    # The cores are others' too: a thread that waits for work must not spin on one. On two busy cores a sentence took
    # 170 ms so and 250 ms as Piper itself loads it; work in blocks, of which the free thread takes more, wins back
    # most of what that costs where nobody else is (2026-11).
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    settings.add_session_config_entry("session.dynamic_block_base", "4")
    try:
        config = PiperConfig.from_dict(json.loads(Path(f"{path}.json").read_text()))
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        voice = Voice(session, config)
        for _ in Speech(voice).samples("Ready.", "", 1.0):
            pass
    except Exception as exc:  # onnxruntime's own have no common root
        raise SetupError(f"model '{model.id}': Piper could not load {path}: {exc}") from exc
    return voice


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores))
