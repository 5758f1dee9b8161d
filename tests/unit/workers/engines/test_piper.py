"""The embedded voice: what is its own beside what every speaking engine does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from schemas.catalog import Model
from schemas.errors import EngineUnavailable, InvalidValue
from schemas.media import Speak
from schemas.media_chunks import Audio
from tests.hearing import heard
from workers.engines.setup import SetupError

pytest.importorskip("piper")
from workers.engines.piper import Piper
from workers.engines.piper_voice import MOST_PHONEMES, pieces

TEXT: Final = "The river goes by the mill and then it turns to the sea."
LONG_TEXT: Final = " and ".join([TEXT.rstrip(".")] * 6)
"""One sentence, long enough for what the model draws by chance, each sound's length, to be the same in the sum."""


def piper(**options: Any) -> Piper:
    row = {"id": "m", "modality": "speech", "engine": "piper", "speech": {}, "engine_options": options}
    return Piper(Model.model_validate(row), None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Piper]:
    made = piper()
    await made.start()
    yield made
    await made.close()


async def sound_of(engine: Piper, asked: Speak) -> bytes:
    batches = [batch async for batch in engine.generate("job-1", asked)]
    return b"".join(delta.data for batch in batches for delta in batch if isinstance(delta, Audio))


@pytest.mark.asyncio(loop_scope="module")
async def test_speed_makes_it_shorter_or_longer(engine: Piper) -> None:
    slow, own, fast = [
        heard(await sound_of(engine, Speak(LONG_TEXT, "joe", "wav", speed=speed)), "wav").seconds
        for speed in (0.5, 1, 2)
    ]
    # Every sound is rounded up to whole frames, so a fast one gains less.
    assert 1.5 < slow / own < 2.2
    assert 1.3 < own / fast < 2.2


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", ["\u200b", "\u0000", "\n\n\u00a0", "[[]]"])
async def test_what_cannot_be_spoken_is_the_callers_mistake(engine: Piper, text: str) -> None:
    with pytest.raises(InvalidValue) as raised:
        await sound_of(engine, Speak(text, "joe"))
    assert raised.value.param == "input"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("text", ["a\0b", "!!!", "😀", "1234567890", "日本語", "<speak>x</speak>", "[[wan", "é̂́ a"])
async def test_odd_texts_are_spoken(engine: Piper, text: str) -> None:
    assert heard(await sound_of(engine, Speak(text, "joe", "wav")), "wav").seconds > 0.05


@pytest.mark.asyncio(loop_scope="module")
async def test_two_texts_at_once_do_not_mix(engine: Piper) -> None:
    short, long = await asyncio.gather(
        sound_of(engine, Speak("Yes.", "joe", "wav")), sound_of(engine, Speak(f"{TEXT} {TEXT}", "joe", "wav"))
    )
    assert heard(short, "wav").seconds < 2 < heard(long, "wav").seconds


async def test_once_it_is_closed_it_is_not_there() -> None:
    engine = piper()
    await engine.start()
    await engine.close()
    with pytest.raises(EngineUnavailable):
        await sound_of(engine, Speak(TEXT, "joe"))


@pytest.mark.parametrize("options", [{"jobs": 0}, {"voice": "joe"}])
def test_options_that_are_wrong(options: dict[str, Any]) -> None:
    with pytest.raises(SetupError):
        piper(**options)


async def test_a_voice_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="there is no file"):
        await piper(model_path=str(tmp_path / "none.onnx")).start()


async def test_a_voice_that_is_none_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model")
    (tmp_path / "a.onnx.json").write_text("{}")
    with pytest.raises(SetupError, match="could not load"):
        await piper(model_path=str(tmp_path / "a.onnx")).start()


def test_a_sentence_of_usual_length_stays_whole() -> None:
    sentence = list("ab cd") * 10
    assert list(pieces(sentence)) == [sentence]


def test_a_sentence_too_long_is_parted_between_words() -> None:
    sentence = list("abcdefg ") * 100
    parts = list(pieces(sentence))
    assert [phoneme for part in parts for phoneme in part] == sentence
    assert all(len(part) <= MOST_PHONEMES and part[-1] == " " for part in parts)


def test_a_word_too_long_is_parted_anywhere() -> None:
    parts = list(pieces(["a"] * (2 * MOST_PHONEMES + 1)))
    assert [len(part) for part in parts] == [MOST_PHONEMES, MOST_PHONEMES, 1]
