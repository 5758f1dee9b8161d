"""The images door, with the official client and without, before the embedded storyboard and a scripted upstream."""

import asyncio
import base64
import io
import json
import time
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

import httpx2
import openai
import pytest
import pytest_asyncio
from PIL import Image
from redis.asyncio import Redis

from storage.keys import NewKey
from tests.asking import error_of
from tests.image_upstream import JSON, USAGE, completed, draft, encoded, images, listed, picture
from tests.stack import Stack, until
from tests.upstream import CUT, Reply, event, refusal

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("session_media")]

PATH: Final = "/v1/images/generations"
STORYBOARD: Final = "storyboard-image"
RED, BLUE = picture("red"), picture("blue")
RESTARTED_S: Final = 90.0
"""A worker of so many lanes is slow to come back where a machine is busy."""

PAINTER: Final = {"model": "painter", "prompt": "a boat"}


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


def opened(b64_json: str | None) -> Image.Image:
    image = Image.open(io.BytesIO(base64.b64decode(b64_json or "", validate=True)))
    image.load()
    return image


async def test_pictures_of_the_size_and_number_asked_for(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    found = await sdk.images.generate(model=STORYBOARD, prompt="A sunset over mountains", n=2, size="512x512")
    assert found.data is not None
    pictures = [opened(each.b64_json) for each in found.data]
    assert [(each.format, each.size) for each in pictures] == [("PNG", (512, 512))] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()
    assert (found.output_format, found.size) == ("png", "512x512")
    assert abs(found.created - time.time()) < 60
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.event.end, charge.event.usage.units) == ("images", "completed", 2)
    assert (charge.event.price.unit, charge.cost_microusd) == ("image", 200)


async def test_the_client_that_waits(stack: Stack, key: NewKey) -> None:
    def ask() -> Any:
        with openai.OpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
            return client.images.generate(
                model=STORYBOARD,
                prompt="A sunset",
                size="256x256",
                output_format="webp",
                output_compression=40,
                background="transparent",
            )

    found = await asyncio.to_thread(ask)
    image = opened(found.data[0].b64_json)
    assert (image.format, image.mode) == ("WEBP", "RGBA")
    assert (found.output_format, found.background) == ("webp", "transparent")


async def test_what_digitalocean_shows(stack: Stack, key: NewKey) -> None:
    """The body of its article's curl, with a model that is here."""
    asked = {
        "model": STORYBOARD,
        "prompt": "A sunset over mountains",
        "n": 1,
        "size": "1024x1024",
        "quality": "auto",
        "response_format": "b64_json",
        "background": "auto",
        "output_format": "png",
    }
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert opened(told["data"][0]["b64_json"]).size == (1024, 1024)
    assert set(told) == {"created", "data", "background", "output_format", "quality", "size", "usage"}
    assert told["usage"]["input_tokens_details"] == {"text_tokens": 0, "image_tokens": 0}


async def due_ms(stack: Stack, key: str) -> int:
    async with Redis.from_url(stack.redis_url) as redis:
        score = await redis.zscore("penstock:objects", key)
    assert score is not None, key
    return int(score)


async def plain_get(url: str) -> httpx2.Response:
    """As whoever has the URL and no key would."""
    async with httpx2.AsyncClient(trust_env=False) as http:
        return await http.get(url)


async def test_a_url_opens_its_picture_to_whoever_has_it_and_nothing_else(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey
) -> None:
    found = await sdk.images.generate(model=STORYBOARD, prompt="a boat", size="256x256", n=2, response_format="url")
    assert found.data is not None
    assert all(each.b64_json is None for each in found.data)
    first, second = (each.url or "" for each in found.data)
    for url in (first, second):
        answer = await plain_get(url)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(answer.content)).size == (256, 256)
    account, path = key.key.account, urlsplit(first).path
    stored = path.removeprefix("/objects/")
    assert f"/{account}/" in path
    for changed in (
        first.replace(f"/{account}/", "/another/"),
        first.replace("/0.png", "/1.png"),
        first.partition("?")[0],
        first[:-1] + ("0" if first[-1] != "0" else "1"),
    ):
        assert (await plain_get(changed)).status_code == 403
    hour_ms = 3_600_000
    assert hour_ms <= await due_ms(stack, stored) - time.time() * 1000 <= 2 * hour_ms
    assert (stack.objects / stored).exists()


async def test_a_url_is_good_for_its_time_only(stack: Stack, key: NewKey) -> None:
    door = await stack.start_door("ingress-brief", PENSTOCK_PICTURE_URL_S="1")
    try:
        async with stack.client(key.secret, door) as http:
            asked = {"model": STORYBOARD, "prompt": "a boat", "size": "256x256", "response_format": "url"}
            url = (await http.post(PATH, json=asked)).json()["data"][0]["url"]
        assert (await plain_get(url)).status_code == 200
        answer = await until(lambda: plain_get(url), lambda seen: seen.status_code != 200, within_s=5)
        assert error_of(answer, 410)["code"] == "expired"
    finally:
        await stack.stop("ingress-brief")


async def test_what_is_given_as_base64_is_noted_to_be_deleted(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        await http.post(PATH, json={"model": STORYBOARD, "prompt": "a boat", "size": "256x256"})
    (charge,) = await stack.charges(key.key.account, 1)
    stored = f"media/{key.key.account}/{charge.event.job_id}/0.png"
    assert await due_ms(stack, stored) - time.time() * 1000 < 3_600_000


async def test_drafts_and_pictures_as_they_come(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    stream = await sdk.images.generate(
        model=STORYBOARD, prompt="A sunset over mountains", size="512x512", stream=True, partial_images=3
    )
    seen: list[Any] = [each async for each in stream]
    assert [each.type for each in seen] == ["image_generation.partial_image"] * 3 + ["image_generation.completed"]
    assert [each.partial_image_index for each in seen[:3]] == [0, 1, 2]
    assert len({opened(each.b64_json).tobytes() for each in seen}) == 4
    assert seen[-1].usage.total_tokens == 0
    assert {(each.size, each.output_format, each.quality) for each in seen} == {("512x512", "png", "auto")}
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.event.usage.units == 1


async def test_an_upstreams_drafts_are_passed_on_as_they_come(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey
) -> None:
    gate = asyncio.Event()
    stack.upstream.script(Reply([draft(RED, 0), gate, completed(BLUE)]))
    stream = await sdk.images.generate(
        model="painter", prompt="a boat", size="512x512", quality="high", stream=True, partial_images=1, user="u"
    )
    events = aiter(stream)
    first: Any = await anext(events)
    assert (first.b64_json, first.quality) == (encoded(RED), "high")
    gate.set()
    last: Any = await anext(events)
    assert (last.b64_json, last.usage.input_tokens, last.usage.output_tokens) == (encoded(BLUE), 12, 300)
    body = stack.upstream.asked[0].body
    assert (body["stream"], body["partial_images"], body["user"]) == (True, 1, "u")
    (charge,) = await stack.charges(key.key.account, 1)
    # 12 tokens at 5 and 300 at 40 US dollars for a million, and one picture at 4 cents.
    assert charge.cost_microusd == 12 * 5 + 300 * 40 + 40_000


async def test_an_upstreams_urls_are_fetched_and_given_as_what_was_asked_for(
    stack: Stack, sdk: openai.AsyncOpenAI
) -> None:
    at = f"{stack.upstream.url}/made/1"
    stack.upstream.script(listed([{"url": at, "revised_prompt": "A small boat."}], USAGE), Reply([BLUE]))
    found = await sdk.images.generate(model="painter", prompt="a boat")
    assert found.data is not None
    assert (found.data[0].b64_json, found.data[0].revised_prompt) == (encoded(BLUE), "A small boat.")
    assert [each.target for each in stack.upstream.asked] == [PATH, "/v1/made/1"]
    stack.upstream.script(images(RED))
    again = await sdk.images.generate(model="painter", prompt="a boat", response_format="url")
    assert again.data is not None
    assert (await plain_get(again.data[0].url or "")).content == RED


async def test_an_upstream_that_refuses_fails_or_recovers(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        stack.upstream.script(refusal(400, {"message": "That is not drawn.", "param": "prompt"}))
        assert error_of(await http.post(PATH, json=PAINTER), 400)["message"] == "That is not drawn."
        stack.upstream.script(images(b"no picture"))
        assert error_of(await http.post(PATH, json=PAINTER), 502)["code"] == "engine_failed"
        stack.upstream.script(listed([{"url": "http://10.0.0.1/secret"}]))
        assert error_of(await http.post(PATH, json=PAINTER), 502)["code"] == "engine_failed"
        stack.upstream.script(refusal(400, {"message": "Nor this."}))
        streamed = {**PAINTER, "stream": True, "partial_images": 1}
        assert error_of(await http.post(PATH, json=streamed), 400)["message"] == "Nor this."
        stack.upstream.script(refusal(503, {"message": "busy"}), images(RED))
        assert (await http.post(PATH, json=PAINTER)).json()["data"] == [{"b64_json": encoded(RED)}]


@pytest.mark.parametrize(
    "steps", [[draft(RED, 0), CUT], [draft(RED, 0), event({"error": {"message": "Broken.", "type": "server_error"}})]]
)
async def test_a_stream_that_breaks_ends_with_an_error_for_the_client(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey, steps: list[Any]
) -> None:
    stack.upstream.script(Reply(steps))
    stream = await sdk.images.generate(model="painter", prompt="a boat", stream=True, partial_images=1)
    events = aiter(stream)
    first: Any = await anext(events)
    assert first.type == "image_generation.partial_image"
    with pytest.raises(openai.APIError):
        await anext(events)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("failed", 0)


async def test_a_client_that_leaves_ends_the_drawing_and_pays_for_no_picture(
    stack: Stack, key: NewKey, account: str
) -> None:
    stack.upstream.script(Reply([draft(RED, 0), asyncio.Event()]))
    asked = {**PAINTER, "stream": True, "partial_images": 1}
    async with stack.client(key.secret) as http, http.stream("POST", PATH, json=asked) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                assert json.loads(line.removeprefix("data: "))["b64_json"] == encoded(RED)
                break
    async with asyncio.timeout(20):
        await stack.upstream.asked[0].gone.wait()
    (charge,) = await stack.charges(account, 1)
    assert (charge.event.end, charge.cost_microusd, charge.event.usage.units) == ("cancelled", 0, 0)
    await due_ms(stack, f"media/{account}/{charge.event.job_id}/0-draft0.png")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ""}, "invalid_value", "prompt"),
        ({"prompt": "  "}, "invalid_value", "prompt"),
        ({"prompt": "x" * 41}, "invalid_value", "prompt"),
        ({"prompt": None}, "invalid_value", "prompt"),
        ({"n": 0}, "invalid_value", "n"),
        ({"n": 5}, "invalid_value", "n"),
        ({"n": 11}, "invalid_value", "n"),
        ({"size": "256x256"}, "invalid_value", "size"),
        ({"size": "big"}, "invalid_value", "size"),
        ({"quality": "medium"}, "invalid_value", "quality"),
        ({"background": "red"}, "invalid_value", "background"),
        ({"background": "transparent", "output_format": "jpeg"}, "invalid_value", "background"),
        ({"moderation": "none"}, "invalid_value", "moderation"),
        ({"output_format": "gif"}, "invalid_value", "output_format"),
        ({"output_compression": 50}, "invalid_value", "output_compression"),
        ({"output_compression": 101, "output_format": "jpeg"}, "invalid_value", "output_compression"),
        ({"response_format": "file"}, "invalid_value", "response_format"),
        ({"response_format": "url", "stream": True}, "invalid_value", "response_format"),
        ({"partial_images": 1}, "invalid_value", "partial_images"),
        ({"partial_images": 3, "stream": True}, "invalid_value", "partial_images"),
        ({"partial_images": 4, "stream": True}, "invalid_value", "partial_images"),
        ({"style": "vivid"}, "unsupported_parameter", "style"),
        ({"user": "u" * 513}, "invalid_value", "user"),
        ({"model": "scripted"}, "invalid_value", "model"),
    ],
)
async def test_what_a_row_does_not_take_is_named_and_nothing_is_queued(
    stack: Stack, key: NewKey, fields: dict[str, Any], code: str, param: str
) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json={**PAINTER, **fields}), 400)
    assert (error["code"], error["param"]) == (code, param)
    assert stack.upstream.asked == []


async def test_an_unknown_model_other_methods_and_other_doors(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        assert error_of(await http.post(PATH, json={**PAINTER, "model": "none"}), 404)["code"] == "model_not_found"
        assert error_of(await http.get(PATH), 405)["code"] == "method_not_allowed"
        chat = {"model": STORYBOARD, "messages": [{"role": "user", "content": "Hello."}]}
        assert error_of(await http.post("/v1/chat/completions", json=chat), 400)["param"] == "model"
    async with stack.client("sk-ps-wrong") as http:
        assert error_of(await http.post(PATH, json=PAINTER), 401)["code"] == "invalid_api_key"


async def test_the_card_says_what_can_be_asked_for_and_what_it_costs(sdk: openai.AsyncOpenAI) -> None:
    card = (await sdk.models.retrieve(STORYBOARD)).model_dump()
    assert (card["endpoints"], card["modalities"]) == ([PATH], {"input": ["text"], "output": ["image"]})
    assert {"256x256", "512x512", "1024x1024", "1536x1024", "1024x1536"} == set(card["contract"]["sizes"])
    assert card["contract"]["max_partial_images"] == 3


async def test_a_worker_killed_while_it_draws_is_followed_by_one_that_draws(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    await breakable.start("media")
    breakable.upstream.script(Reply([asyncio.Event()], headers=JSON), images(RED))
    async with breakable.client(key.secret, timeout_s=RESTARTED_S) as http:
        asking = asyncio.create_task(http.post(PATH, json=PAINTER))
        await breakable.upstream.arrived(1)
        await breakable.kill("media")
        await breakable.start("media")
        answer = await asking
    assert answer.json()["data"] == [{"b64_json": encoded(RED)}]
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.attempt, charge.cost_microusd) == ("completed", 2, 40_000)


async def test_a_worker_killed_after_a_draft_ends_the_stream_with_an_error(breakable: Stack, account: str) -> None:
    key = await breakable.create_key(account)
    await breakable.start("media")
    breakable.upstream.script(Reply([draft(RED, 0), asyncio.Event()]))
    async with openai.AsyncOpenAI(base_url=breakable.base_url, api_key=key.secret, max_retries=0) as client:
        stream = await client.images.generate(model="painter", prompt="a boat", stream=True, partial_images=1)
        events = aiter(stream)
        first: Any = await anext(events)
        assert first.type == "image_generation.partial_image"
        await breakable.kill("media")
        await breakable.start("media")
        with pytest.raises(openai.APIError, match="worker was lost"):
            await anext(events)
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.error_code, charge.cost_microusd) == ("failed", "worker_lost", 0)
