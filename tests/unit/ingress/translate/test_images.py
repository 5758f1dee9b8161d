"""OpenAI's images, body by body and event by event."""

import json
from typing import Any

import msgspec
import pytest
from openai.types import ImageGenCompletedEvent, ImageGenPartialImageEvent, ImagesResponse

from ingress.translate.openai_images import Head, ImagesFold, ImagesWriter, parse
from schemas.chunks import Ended
from schemas.errors import EngineUnavailable, PenstockError
from schemas.media_chunks import Picture
from schemas.usage import Usage

ENDED = Ended("completed", Usage(input_tokens=7, output_tokens=30, units=2))
ONE = Head(1, "512x512", None, None, "b64_json")
TWO = Head(2, "512x512", "high", "transparent", "b64_json")
CREATED = 1_763_800_000


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "a boat", **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "param", "words"),
    [
        ({"prompt": None}, "prompt", "should be a valid string"),
        ({"prompt": ""}, "prompt", "at least 1 character"),
        ({"prompt": ["a"]}, "prompt", "should be a valid string"),
        ({"n": 0}, "n", "greater than or equal to 1"),
        ({"n": 11}, "n", "less than or equal to 10"),
        ({"n": "1"}, "n", "should be a valid integer"),
        ({"size": 512}, "size", "should be a valid string"),
        ({"background": "red"}, "background", "'auto', 'transparent' or 'opaque'"),
        ({"moderation": "none"}, "moderation", "'auto' or 'low'"),
        ({"output_format": "gif"}, "output_format", "'png', 'jpeg' or 'webp'"),
        ({"output_compression": 101}, "output_compression", "less than or equal to 100"),
        ({"output_compression": -1}, "output_compression", "greater than or equal to 0"),
        ({"response_format": "file"}, "response_format", "'b64_json' or 'url'"),
        ({"partial_images": 4}, "partial_images", "less than or equal to 3"),
        ({"stream": "yes"}, "stream", "should be a valid boolean"),
        ({"model": ""}, "model", "at least 1 character"),
        ({"style": "vivid"}, "style", "Unknown parameter"),
        ({"partial_image": 1}, "partial_image", "Did you mean 'partial_images'?"),
    ],
)
def test_what_is_no_request_is_refused_with_its_place(fields: dict[str, Any], param: str, words: str) -> None:
    with pytest.raises(PenstockError) as raised:
        parse(body(**fields))
    assert raised.value.status == 400
    assert raised.value.param == param
    assert words in raised.value.message


def picture(image: int, partial: int | None = None, revised: str | None = None, kind: str = "image/png") -> Picture:
    return Picture(image, f"key-{image}-{partial}", 3, kind, partial, revised)


def shown(*pictures: Picture) -> dict[str, msgspec.Raw]:
    return {each.key: msgspec.Raw(json.dumps(f"data of {each.key}").encode()) for each in pictures}


def test_pictures_as_the_sdk_reads_them() -> None:
    first, second = picture(0, revised="A small boat."), picture(1)
    fold = ImagesFold(TWO, CREATED, shown(first, second))
    fold.add([second, first, ENDED])
    assert fold.error is None
    reply = ImagesResponse.model_validate_json(fold.reply(), strict=True)
    assert reply.data is not None
    assert [(each.b64_json, each.url, each.revised_prompt) for each in reply.data] == [
        ("data of key-0-None", None, "A small boat."),
        ("data of key-1-None", None, None),
    ]
    assert (reply.created, reply.size, reply.quality) == (CREATED, "512x512", "high")
    assert (reply.background, reply.output_format) == ("transparent", "png")
    assert reply.usage is not None
    assert (reply.usage.input_tokens, reply.usage.output_tokens, reply.usage.total_tokens) == (7, 30, 37)
    assert json.loads(fold.reply())["usage"]["images"] == 2


def test_urls_stand_under_their_own_name_and_what_was_left_open_is_null() -> None:
    one = picture(0, kind="image/webp")
    fold = ImagesFold(msgspec.structs.replace(ONE, shown="url"), CREATED, shown(one))
    fold.add([one, ENDED])
    reply = json.loads(fold.reply())
    assert reply["data"] == [{"url": "data of key-0-None"}]
    assert (reply["background"], reply["quality"], reply["output_format"]) == (None, None, "webp")
    ImagesResponse.model_validate_json(fold.reply(), strict=True)


BROKEN = [
    ([ENDED], "engine_failed"),
    ([picture(0, 0), picture(1), ENDED], "engine_failed"),
    ([picture(1), picture(2), ENDED], "engine_failed"),
    ([picture(0), picture(1), Ended("failed", Usage(), EngineUnavailable("away").data())], "engine_unavailable"),
    ([picture(0), picture(1), Ended("cancelled", Usage())], "internal_error"),
]


@pytest.mark.parametrize(("chunks", "code"), BROKEN)
def test_an_answer_without_all_pictures_is_an_error(chunks: list[Any], code: str) -> None:
    fold = ImagesFold(TWO, CREATED, {})
    fold.add(chunks)
    assert fold.error is not None
    assert fold.error.code == code


def events(written: bytes) -> list[Any]:
    """Each event's data, once it is seen that it is called as its type says."""
    found = []
    for event in written.decode().split("\n\n")[:-1]:
        *names, data = event.split("\n")
        value = json.loads(data.removeprefix("data: "))
        if "error" not in value:
            assert names == [f"event: {value['type']}"]
        found.append(value)
    return found


def test_drafts_and_a_picture_as_the_sdk_reads_them() -> None:
    drafts, whole = [picture(0, 0), picture(0, 1)], picture(0)
    found = shown(*drafts, whole)
    writer = ImagesWriter(ONE, found, lambda: CREATED + 0.5)
    first, second = events(writer.write(drafts))
    partial = ImageGenPartialImageEvent.model_validate_json(json.dumps(first), strict=True)
    assert (partial.b64_json, partial.partial_image_index) == ("data of key-0-0", 0)
    assert (partial.created_at, partial.size, partial.quality) == (CREATED, "512x512", "auto")
    assert (second["partial_image_index"], second["output_format"]) == (1, "png")
    assert writer.write([whole]) == b""
    (last,) = events(writer.write([ENDED]))
    completed = ImageGenCompletedEvent.model_validate_json(json.dumps(last), strict=True)
    assert (completed.b64_json, completed.background) == ("data of key-0-None", "auto")
    assert (completed.usage.input_tokens, completed.usage.total_tokens) == (7, 37)
    assert found == {}


def test_of_several_pictures_the_last_one_carries_the_usage() -> None:
    pictures = [picture(0), picture(1)]
    writer = ImagesWriter(TWO, shown(*pictures), lambda: CREATED)
    first, second = events(writer.write([*pictures, ENDED]))
    assert [first["type"], second["type"]] == ["image_generation.completed"] * 2
    assert (first["image_index"], first["usage"]["images"]) == (0, 0)
    assert (second["image_index"], second["usage"]["images"]) == (1, 2)


@pytest.mark.parametrize(("chunks", "code"), BROKEN)
def test_a_stream_without_all_pictures_ends_with_an_error(chunks: list[Any], code: str) -> None:
    writer = ImagesWriter(TWO, shown(*[each for each in chunks if isinstance(each, Picture)]), lambda: CREATED)
    *before, last = events(writer.write(chunks))
    assert last["error"]["code"] == code
    assert len([event for event in before if event["type"] == "image_generation.completed"]) < 2
