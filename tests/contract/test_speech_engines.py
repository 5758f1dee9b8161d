"""What every speaking engine keeps to, whatever is behind it: a scripted upstream, or the real embedded voice."""

import asyncio
import io
import wave
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import pytest

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import PenstockError
from schemas.media import Speak
from schemas.media_chunks import Audio
from schemas.usage import Usage
from tests.hearing import heard, tone
from tests.upstream import Reply, Upstream
from workers.engine import SpeechEngine
from workers.registry import Starts, build

TEXT: Final = "The river goes by the mill. Then it turns to the sea."
LONG: Final = " ".join(f"This is sentence number {number} of a long story." for number in range(2_000))
"""Half an hour and more to be heard, and minutes to be made."""

SOON_S: Final = 10.0
"""A sentence of the embedded voice takes a fraction of a second on a core of its own."""


def wav(seconds: float) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 24_000, 0, "NONE", "not compressed"))
        writer.writeframes(tone(440, seconds, 24_000))
    return file.getvalue()


WAV: Final = {"Content-Type": "audio/wav"}
WHOLE: Final = wav(2)
UPSTREAM: Final[Mapping[str, Reply]] = {
    "whole": Reply([WHOLE[at : at + 10_000] for at in range(0, len(WHOLE), 10_000)], headers=WAV),
    "endless": Reply([WHOLE[:10_000], asyncio.Event()], headers=WAV),
}

ROW: Final = {"id": "m", "modality": "speech", "speech": {"voices": ["joe"], "any_voice": True}}


@dataclass
class Subject:
    """An engine that does one text at a time; `expect` readies what is behind it for a case."""

    engine: SpeechEngine
    expect: Callable[[str], None]


async def openai_compatible() -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        engine = build(Model.model_validate({**ROW, "engine": "openai_compatible", "base_url": upstream.url}), {})
        yield Subject(engine, lambda case: upstream.script(UPSTREAM[case]))
        await engine.close()


async def piper() -> AsyncIterator[Subject]:
    pytest.importorskip("piper")
    engine = build(Model.model_validate({**ROW, "engine": "piper", "engine_options": {"jobs": 1}}), {})
    assert isinstance(engine, Starts)
    await engine.start()
    yield Subject(engine, lambda case: None)
    await engine.close()


@pytest.fixture(params=[openai_compatible, piper], ids=lambda kind: kind.__name__)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for made in request.param():
        yield made


async def batches_of(subject: Subject, case: str, asked: Speak) -> list[Sequence[Any]]:
    subject.expect(case)
    batches = [batch async for batch in subject.engine.generate("job-1", asked)]
    assert all(batches), "a batch is never empty"
    return batches


async def test_a_text_is_spoken_and_counted_in_characters(subject: Subject) -> None:
    first, *others = await batches_of(subject, "whole", Speak(TEXT, "joe", "wav"))
    counts = [delta.usage for batch in [first, *others] for delta in batch if isinstance(delta, UsageReport)]
    assert counts == [Usage(units=len(TEXT))]
    assert [type(delta) for delta in first] == [Audio, UsageReport], "the count comes with the first of the sound"
    sound = heard(b"".join(delta.data for batch in [first, *others] for delta in batch if type(delta) is Audio), "wav")
    assert 1 < sound.seconds < 8
    assert sound.loudest > 0.2


async def test_sound_comes_before_the_rest_is_made(subject: Subject) -> None:
    subject.expect("endless")
    async with (
        asyncio.timeout(SOON_S),
        aclosing(subject.engine.generate("job-1", Speak(LONG, "joe", "wav"))) as batches,
    ):
        first = await anext(batches)
    assert isinstance(first[0], Audio)


async def test_closing_in_the_middle_frees_the_engine(subject: Subject) -> None:
    subject.expect("endless")
    async with aclosing(subject.engine.generate("job-1", Speak(LONG, "joe", "wav"))) as batches:
        await anext(batches)
    async with asyncio.timeout(SOON_S):
        assert await batches_of(subject, "whole", Speak("Short.", "joe", "wav"))


async def test_an_engine_that_is_closed_ends_what_is_open_with_an_error(subject: Subject) -> None:
    subject.expect("endless")
    async with aclosing(subject.engine.generate("job-1", Speak(LONG, "joe", "wav"))) as batches:
        await anext(batches)
        reading = asyncio.create_task(_all(batches))
        await asyncio.sleep(0)
        async with asyncio.timeout(SOON_S):
            await subject.engine.close()
            with pytest.raises(PenstockError):
                await reading


async def _all(batches: AsyncIterator[Sequence[Any]]) -> None:
    async for _ in batches:
        pass
