"""What the storyboard draws, as Pillow reads it."""

import io
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from schemas.catalog import Model
from schemas.media import Draw, ImageFormat
from workers.engine import Drawn
from workers.engines.setup import SetupError
from workers.engines.storyboard_image import StoryboardImage

PROMPT = "A sunset over mountains"


def row(sizes: list[str] | None = None, **options: Any) -> Model:
    contract = {"sizes": sizes or ["64x48"], "max_partial_images": 3}
    return Model.model_validate(
        {"id": "m", "modality": "image", "engine": "storyboard", "image": contract, "engine_options": options}
    )


async def drawn(asked: Draw) -> list[Drawn]:
    batches = StoryboardImage(row(), None).generate("job-1", asked)
    return [each async for batch in batches for each in batch if isinstance(each, Drawn)]


async def one(prompt: str = PROMPT, **fields: Any) -> Drawn:
    (found,) = await drawn(Draw(prompt, "96x64", **fields))
    return found


def opened(picture: Drawn) -> Image.Image:
    image = Image.open(io.BytesIO(picture.data))
    image.load()
    return image


@pytest.mark.parametrize("output_format", ["png", "jpeg", "webp"])
async def test_every_format_has_the_size_that_was_asked_for(output_format: ImageFormat) -> None:
    found = await one(output_format=output_format)
    assert found.content_type == f"image/{output_format}"
    image = opened(found)
    assert (image.format, image.size, image.mode) == (output_format.upper(), (96, 64), "RGB")


@pytest.mark.parametrize("output_format", ["png", "webp"])
async def test_a_transparent_ground_shows_what_is_behind_it(output_format: ImageFormat) -> None:
    image = opened(await one(output_format=output_format, background="transparent"))
    assert image.mode == "RGBA"
    alpha = image.getchannel("A").tobytes()
    assert min(alpha) == 0 < max(alpha)


@pytest.mark.parametrize("output_format", ["jpeg", "webp"])
async def test_compression_makes_it_smaller(output_format: ImageFormat) -> None:
    sizes = [len((await one(output_format=output_format, output_compression=at)).data) for at in (100, 50, 0)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 3


async def test_the_same_prompt_is_drawn_alike_and_another_is_not() -> None:
    assert await one() == await one()
    assert (await one()).data != (await one("A sunset over hills")).data


async def test_several_pictures_of_one_prompt_differ() -> None:
    found = await drawn(Draw(PROMPT, "96x64", images=3))
    assert [each.image for each in found] == [0, 1, 2]
    assert len({each.data for each in found}) == 3


async def test_each_draft_is_nearer_to_the_picture() -> None:
    found = await drawn(Draw(PROMPT, "96x64", partial_images=3))
    assert [each.partial for each in found] == [0, 1, 2, None]
    whole = opened(found[-1])
    away = [sum(ImageStat.Stat(ImageChops.difference(opened(each), whole)).mean) for each in found[:-1]]
    assert away == sorted(away, reverse=True)
    assert away[-1] > 0


@pytest.mark.parametrize("prompt", ["x" * 4000, "word " * 800, "a\x00b", "漢字 🎉", "\u200b"])
async def test_any_prompt_can_be_drawn(prompt: str) -> None:
    assert opened(await one(prompt)).size == (96, 64)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (row(jobs=0), "jobs should be at least 1"),
        (row(["90000x90000"]), "size 90000x90000"),
        (row(job=1), "job"),
    ],
)
def test_a_row_that_cannot_be_served_stops_the_start(model: Model, words: str) -> None:
    with pytest.raises(SetupError, match=words):
        StoryboardImage(model, None)
