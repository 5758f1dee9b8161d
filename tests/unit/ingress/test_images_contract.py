"""What an image row allows."""

from typing import Any

import pytest

from ingress.images_contract import check_image
from ingress.translate.openai_images import to_draw
from schemas.catalog import Model
from schemas.errors import InvalidValue, PenstockError, UnsupportedParameter
from schemas.media import Draw
from schemas.wire.openai_images import ImageRequest

RICH = {
    "qualities": ["low", "high"],
    "backgrounds": ["transparent", "opaque"],
    "max_partial_images": 2,
}


def row(**contract: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "modality": "image",
            "engine": "openai_compatible",
            "base_url": "http://127.0.0.1:1/v1",
            "image": {"sizes": ["1024x1024", "512x512"], "max_images": 4, "max_prompt_chars": 10, **contract},
        }
    )


def check(model: Model, **fields: Any) -> Draw:
    request = ImageRequest.model_validate({"model": "m", "prompt": "a boat", **fields})
    return to_draw(request, check_image(model, request))


@pytest.mark.parametrize(
    ("contract", "fields", "drawn"),
    [
        ({}, {}, Draw("a boat", "1024x1024")),
        (
            {},
            {"size": "auto", "quality": "auto", "background": "auto", "moderation": "auto"},
            Draw("a boat", "1024x1024"),
        ),
        ({}, {"quality": "standard"}, Draw("a boat", "1024x1024")),
        (RICH, {"quality": "standard"}, Draw("a boat", "1024x1024")),
        ({"qualities": ["standard", "hd"]}, {"quality": "standard"}, Draw("a boat", "1024x1024", quality="standard")),
        ({}, {"size": "512x512", "n": 4, "user": "u"}, Draw("a boat", "512x512", images=4, user="u")),
        ({}, {"output_compression": 100}, Draw("a boat", "1024x1024")),
        (
            {},
            {"output_format": "jpeg", "output_compression": 0},
            Draw("a boat", "1024x1024", output_format="jpeg", output_compression=0),
        ),
        ({"output_formats": ["webp", "jpeg"]}, {}, Draw("a boat", "1024x1024", output_format="webp")),
        (
            RICH,
            {"quality": "high", "background": "transparent", "moderation": "low"},
            Draw("a boat", "1024x1024", quality="high", background="transparent", moderation="low"),
        ),
        (RICH, {"stream": True, "partial_images": 2}, Draw("a boat", "1024x1024", partial_images=2)),
        ({}, {"stream": True, "response_format": "b64_json", "partial_images": 0}, Draw("a boat", "1024x1024")),
        ({}, {"response_format": "url", "stream": False}, Draw("a boat", "1024x1024")),
        ({}, {"prompt": "0123456789"}, Draw("0123456789", "1024x1024")),
    ],
)
def test_what_the_row_allows(contract: dict[str, Any], fields: dict[str, Any], drawn: Draw) -> None:
    assert check(row(**contract), **fields) == drawn


@pytest.mark.parametrize(
    ("contract", "fields", "kind", "param"),
    [
        ({}, {"prompt": "0123456789a"}, InvalidValue, "prompt"),
        ({}, {"prompt": " \n"}, InvalidValue, "prompt"),
        ({}, {"n": 5}, InvalidValue, "n"),
        ({}, {"size": "256x256"}, InvalidValue, "size"),
        ({}, {"size": "large"}, InvalidValue, "size"),
        ({}, {"quality": "high"}, UnsupportedParameter, "quality"),
        (RICH, {"quality": "medium"}, InvalidValue, "quality"),
        ({}, {"background": "opaque"}, UnsupportedParameter, "background"),
        ({"backgrounds": ["opaque"]}, {"background": "transparent"}, InvalidValue, "background"),
        (RICH, {"background": "transparent", "output_format": "jpeg"}, InvalidValue, "background"),
        ({"output_formats": ["png"]}, {"output_format": "webp"}, InvalidValue, "output_format"),
        ({}, {"output_compression": 50}, InvalidValue, "output_compression"),
        ({}, {"output_compression": 50, "output_format": "png"}, InvalidValue, "output_compression"),
        (RICH, {"partial_images": 1}, InvalidValue, "partial_images"),
        (RICH, {"partial_images": 1, "stream": False}, InvalidValue, "partial_images"),
        (RICH, {"partial_images": 3, "stream": True}, InvalidValue, "partial_images"),
        ({}, {"partial_images": 1, "stream": True}, UnsupportedParameter, "partial_images"),
        ({}, {"response_format": "url", "stream": True}, InvalidValue, "response_format"),
    ],
)
def test_what_it_does_not_is_named(
    contract: dict[str, Any], fields: dict[str, Any], kind: type[PenstockError], param: str
) -> None:
    with pytest.raises(kind) as raised:
        check(row(**contract), **fields)
    assert type(raised.value) is kind
    assert raised.value.param == param


def test_a_chat_model_is_not_served_here() -> None:
    chat = {"id": "m", "engine": "openai_compatible", "base_url": "http://127.0.0.1:1/v1", "context_tokens": 8}
    with pytest.raises(InvalidValue, match="not served at /v1/images/generations") as raised:
        check(Model.model_validate({**chat, "max_output_tokens": 4}))
    assert raised.value.param == "model"
