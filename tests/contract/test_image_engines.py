"""What every image engine keeps to, whatever is behind it: a scripted upstream, or the embedded storyboard."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final

import pytest

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.images import HEAD_BYTES, image_type
from schemas.media import Draw
from tests.image_upstream import completed, draft, images, picture
from tests.upstream import Reply, Upstream
from workers.engine import Drawn, ImageEngine
from workers.registry import build

RED, BLUE = picture("red"), picture("blue")
WEBP: Final = picture("green", "WEBP")

UPSTREAM: Final[Mapping[str, Reply]] = {
    "one": images(RED),
    "three": images(RED, BLUE, RED),
    "webp": images(WEBP),
    "drafts": Reply([draft(RED, 0), draft(BLUE, 1), completed(RED)]),
    "endless": Reply([draft(RED, 0), asyncio.Event()]),
}
ROW: Final = {"id": "m", "modality": "image", "image": {"sizes": ["64x64"], "max_partial_images": 3}}
MANY: Final = Draw("a boat", "64x64", images=10, partial_images=3)


@dataclass
class Subject:
    """An engine; `expect` readies what is behind it for a case."""

    engine: ImageEngine
    expect: Callable[[str], None]


async def openai_compatible() -> AsyncIterator[Subject]:
    async with Upstream() as upstream:
        model = Model.model_validate({**ROW, "engine": "openai_compatible", "base_url": upstream.url})
        engine = build(model, {})
        yield Subject(engine, lambda case: upstream.script(UPSTREAM[case]))
        await engine.close()


async def storyboard() -> AsyncIterator[Subject]:
    engine = build(Model.model_validate({**ROW, "engine": "storyboard"}), {})
    yield Subject(engine, lambda case: None)
    await engine.close()


@pytest.fixture(params=[openai_compatible, storyboard], ids=lambda kind: kind.__name__)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    async for made in request.param():
        yield made


async def given(subject: Subject, case: str, asked: Draw) -> list[Any]:
    subject.expect(case)
    found: list[Any] = []
    async for batch in subject.engine.generate("job-1", asked):
        assert batch, "a batch is never empty"
        found += batch
    return found


def pictures(found: Sequence[Any]) -> list[Drawn]:
    drawn = [each for each in found if isinstance(each, Drawn)]
    assert [each.content_type for each in drawn] == [image_type(each.data[:HEAD_BYTES]) for each in drawn]
    return drawn


def units(found: Sequence[Any]) -> int:
    counted: int = [each.usage.units for each in found if isinstance(each, UsageReport)][-1]
    return counted


async def test_a_picture_and_its_count(subject: Subject) -> None:
    found = await given(subject, "one", Draw("a boat", "64x64"))
    (one,) = pictures(found)
    assert (one.image, one.partial, one.content_type) == (0, None, "image/png")
    assert units(found) == 1


async def test_several_pictures_have_their_numbers(subject: Subject) -> None:
    found = await given(subject, "three", Draw("a boat", "64x64", images=3))
    assert [(each.image, each.partial) for each in pictures(found)] == [(0, None), (1, None), (2, None)]
    assert units(found) == 3


async def test_another_format(subject: Subject) -> None:
    (one,) = pictures(await given(subject, "webp", Draw("a boat", "64x64", output_format="webp")))
    assert one.content_type == "image/webp"


async def test_drafts_come_first_and_are_not_counted(subject: Subject) -> None:
    found = await given(subject, "drafts", Draw("a boat", "64x64", partial_images=2))
    assert [each.partial for each in pictures(found)] == [0, 1, None]
    at_first_draft = next(place for place, each in enumerate(found) if isinstance(each, Drawn))
    assert units(found[:at_first_draft]) == 0
    assert units(found) == 1


async def test_closing_the_generator_ends_the_work_and_leaves_the_engine_free(subject: Subject) -> None:
    subject.expect("endless")
    async with aclosing(subject.engine.generate("job-1", MANY)) as batches:
        async for batch in batches:
            if any(isinstance(each, Drawn) for each in batch):
                break
    async with asyncio.timeout(20):
        assert len(pictures(await given(subject, "one", Draw("a boat", "64x64")))) == 1


async def test_cancelling_leaves_the_engine_free(subject: Subject) -> None:
    subject.expect("endless")
    heard = asyncio.Event()

    async def read() -> None:
        async for _ in subject.engine.generate("job-1", MANY):
            heard.set()

    reading = asyncio.create_task(read())
    await heard.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(20):
        assert len(pictures(await given(subject, "one", Draw("a boat", "64x64")))) == 1
