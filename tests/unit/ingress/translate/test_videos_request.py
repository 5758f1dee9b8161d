"""Requests for videos, as JSON and as forms, and what is made of them."""

import base64
import io
from typing import Any

import httpx2
import pytest
from PIL import Image
from starlette.datastructures import Headers

from ingress.translate.openai_videos import parse, to_film
from ingress.videos_contract import check_film
from schemas.catalog import Model
from schemas.errors import BodyTooLarge, InvalidRequest, InvalidValue, PenstockError, UnsupportedParameter
from schemas.media import Film
from schemas.wire.openai_videos import VideoRequest

ASKED = {"model": "film", "prompt": "A dam"}


def model(**video: Any) -> Model:
    row = {"sizes": ["1280x720", "832x480"], "seconds": {"min": 1, "max": 9}, "default_seconds": 5, "fps": [16, 24]}
    return Model.model_validate(
        {"id": "film", "engine": "storyboard", "modality": "video", "video": {**row, "default_fps": 16, **video}}
    )


def png(width: int = 2) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, 2)).save(file, "PNG")
    return file.getvalue()


async def read(request: httpx2.Request) -> VideoRequest:
    return await parse(request.read(), Headers(dict(request.headers)))


async def by_json(**fields: Any) -> VideoRequest:
    return await read(httpx2.Request("POST", "http://door/", json={**ASKED, **fields}))


async def by_form(image: tuple[str, bytes, str] | None = None, **fields: str) -> VideoRequest:
    parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in {**ASKED, **fields}.items()]
    if image is not None:
        parts.append(("input_reference", image))
    return await read(httpx2.Request("POST", "http://door/", files=parts))


async def test_what_is_left_out_is_the_rows_own() -> None:
    assert to_film(await by_json(), model()) == Film("A dam", "1280x720", 5.0, 16)


async def test_a_form_says_what_json_says() -> None:
    said = await by_json(seconds="8", size="832x480", fps=24, seed=7, negative_prompt="rain", user="u")
    assert said == await by_form(seconds="8", size="832x480", fps="24", seed="7", negative_prompt="rain", user="u")
    assert to_film(said, model()) == Film("A dam", "832x480", 8.0, 24, "rain", 7)


@pytest.mark.parametrize(("asked", "size"), [("480p", "832x480"), ("720p", "1280x720"), ("1080p", "1080p"), ("p", "p")])
async def test_sizes_by_their_lines(asked: str, size: str) -> None:
    assert to_film(await by_json(size=asked), model()).size == size


async def test_an_image_by_file_by_uri_and_as_an_object() -> None:
    data = base64.b64encode(png()).decode()
    uri = f"data:image/png;base64,{data}"
    for request in (
        await by_form(image=("a.png", png(), "application/octet-stream")),
        await by_json(input_reference=uri),
        await by_json(input_reference={"image_url": uri}),
        await by_form(**{"input_reference[image_url]": uri}),
    ):
        image = to_film(request, model(image_input=True)).image
        assert image is not None
        assert (image.media_type, image.data, image.url) == ("image/png", data, None)


@pytest.mark.parametrize(
    ("reference", "param"),
    [
        ("https://example.com/a.png", "input_reference"),
        ({"image_url": "https://example.com/a.png"}, "input_reference.image_url"),
        ({}, "input_reference.image_url"),
        ({"file_id": "file-1"}, "input_reference.file_id"),
        ("data:image/png;base64,AAAA", "input_reference"),
        ("data:text/plain;base64,AAAA", "input_reference"),
    ],
)
async def test_what_is_no_image_is_refused(reference: Any, param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        to_film(await by_json(input_reference=reference), model(image_input=True))
    assert refused.value.param == param


async def test_a_file_that_is_no_image_is_refused() -> None:
    with pytest.raises(InvalidValue) as refused:
        to_film(await by_form(image=("a.png", b"MZ", "image/png")), model(image_input=True))
    assert refused.value.param == "input_reference"


async def test_an_image_that_is_too_large_is_refused() -> None:
    large = png() + bytes(21 * 1024 * 1024)
    with pytest.raises(BodyTooLarge):
        to_film(await by_form(image=("a.png", large, "image/png")), model(image_input=True))


async def test_a_form_that_is_none_is_refused() -> None:
    for content_type in ("multipart/form-data", "multipart/form-data; boundary=x"):
        with pytest.raises(InvalidRequest) as refused:
            await parse(b"--y\r\n", Headers({"content-type": content_type}))
        assert "boundary" in refused.value.message or "form" in refused.value.message or refused.value.param


async def test_a_field_given_twice_is_refused() -> None:
    parts: list[tuple[str, Any]] = [(name, (None, value)) for name, value in ASKED.items()] * 2
    with pytest.raises(InvalidValue) as refused:
        await read(httpx2.Request("POST", "http://door/", files=parts))
    assert refused.value.param == "model"


@pytest.mark.parametrize(
    ("fields", "row", "fault", "param"),
    [
        ({"seconds": 10}, {}, InvalidValue, "seconds"),
        ({"seconds": "inf"}, {}, InvalidValue, "seconds"),
        ({"fps": 25}, {}, InvalidValue, "fps"),
        ({"size": "640x480"}, {}, InvalidValue, "size"),
        ({"prompt": "xx"}, {"max_prompt_chars": 1}, InvalidValue, "prompt"),
        ({"seed": 1}, {}, UnsupportedParameter, "seed"),
        ({"seed": -1}, {"seed": True}, InvalidValue, "seed"),
        ({"negative_prompt": "x"}, {}, UnsupportedParameter, "negative_prompt"),
        ({"negative_prompt": " "}, {"negative_prompt": True}, InvalidValue, "negative_prompt"),
    ],
)
async def test_a_row_is_kept_to(
    fields: dict[str, Any], row: dict[str, Any], fault: type[PenstockError], param: str
) -> None:
    with pytest.raises(fault) as refused:
        check_film(model(**row), to_film(await by_json(**fields), model(**row)))
    assert type(refused.value) is fault
    assert refused.value.param == param
