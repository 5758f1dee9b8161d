"""The engine against an upstream that answers in the ways that upstreams do."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest, PenstockError, StreamCut
from schemas.media import Draw
from schemas.usage import Usage
from tests.image_upstream import JSON, USAGE, completed, draft, images, listed, picture
from tests.upstream import CUT, DONE, Reply, Upstream, event, refusal
from workers.engine import Drawn, DrawnElsewhere, EngineBusy
from workers.engines.openai_images import OpenAIImages
from workers.engines.setup import SetupError

RED, BLUE = picture("red"), picture("blue", "WEBP")
ONE = Draw("a boat", "512x512")
TWO = Draw("a boat", "512x512", images=2)
DRAFTS = Draw("a boat", "512x512", partial_images=2)


def row(base_url: str, **options: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "modality": "image",
            "engine": "openai_compatible",
            "base_url": base_url,
            "upstream_model": "org/m",
            "image": {"sizes": ["512x512"]},
            "timeouts": {"first_chunk_s": 0.5, "silence_s": 0.5},
            "engine_options": options,
        }
    )


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def engine(upstream: Upstream) -> AsyncIterator[OpenAIImages]:
    engine = OpenAIImages(row(upstream.url), "sk-upstream-1")
    yield engine
    await engine.close()


async def run(engine: OpenAIImages, asked: Draw = ONE) -> list[Any]:
    return [given async for batch in engine.generate("job-1", asked) for given in batch]


async def test_what_asks_for_nothing_is_left_out(upstream: Upstream, engine: OpenAIImages) -> None:
    upstream.script(images(RED))
    assert await run(engine) == [Drawn(0, RED, "image/png"), UsageReport(Usage(units=1))]
    asked = upstream.asked[0]
    assert asked.target == "/v1/images/generations"
    assert asked.headers["authorization"] == "Bearer sk-upstream-1"
    assert asked.headers["x-request-id"] == "job-1"
    assert asked.body == {
        "model": "org/m",
        "prompt": "a boat",
        "n": 1,
        "size": "512x512",
        "response_format": "b64_json",
    }


async def test_what_is_asked_for_is_passed_on(upstream: Upstream, engine: OpenAIImages) -> None:
    upstream.script(images(RED, BLUE, usage=USAGE))
    asked = Draw(
        "a boat",
        "512x512",
        images=2,
        quality="high",
        background="transparent",
        moderation="low",
        output_format="webp",
        output_compression=50,
        user="u",
    )
    counted = UsageReport(Usage(input_tokens=12, output_tokens=300, units=2))
    assert await run(engine, asked) == [Drawn(0, RED, "image/png"), Drawn(1, BLUE, "image/webp"), counted]
    body = upstream.asked[0].body
    assert {name: body[name] for name in ("quality", "background", "moderation", "output_format")} == {
        "quality": "high",
        "background": "transparent",
        "moderation": "low",
        "output_format": "webp",
    }
    assert (body["n"], body["output_compression"], body["user"]) == (2, 50, "u")


async def test_a_row_may_leave_the_response_format_out_and_add_fields(upstream: Upstream) -> None:
    engine = OpenAIImages(row(upstream.url, response_format=None, body={"num_inference_steps": 8}), None)
    upstream.script(images(RED))
    await run(engine)
    await engine.close()
    body = upstream.asked[0].body
    assert "response_format" not in body
    assert body["num_inference_steps"] == 8
    assert "authorization" not in upstream.asked[0].headers


async def test_urls_are_told_of_and_revised_prompts_kept(upstream: Upstream, engine: OpenAIImages) -> None:
    upstream.script(listed([{"url": "https://pictures.example/1", "revised_prompt": "A small boat."}, {"url": "u2"}]))
    first, second, _ = await run(engine, TWO)
    assert first == DrawnElsewhere(0, "https://pictures.example/1", "A small boat.")
    assert second == DrawnElsewhere(1, "u2")


async def test_drafts_come_before_their_picture(upstream: Upstream, engine: OpenAIImages) -> None:
    upstream.script(Reply([draft(RED, 0), draft(BLUE, 1), completed(RED)]))
    counted = UsageReport(Usage(input_tokens=12, output_tokens=300, units=1))
    assert await run(engine, DRAFTS) == [
        UsageReport(Usage()),
        Drawn(0, RED, "image/png", 0),
        Drawn(0, BLUE, "image/webp", 1),
        counted,
        Drawn(0, RED, "image/png"),
    ]
    body = upstream.asked[0].body
    assert (body["stream"], body["partial_images"]) == (True, 2)
    assert "response_format" not in body


@pytest.mark.parametrize("numbered", [True, False])
async def test_several_pictures_of_a_stream_are_numbered_and_added_up(
    upstream: Upstream, engine: OpenAIImages, numbered: bool
) -> None:
    def index(number: int) -> dict[str, int]:
        return {"image_index": number} if numbered else {}

    steps = [
        draft(RED, 0, **index(0)),
        completed(RED, **index(0)),
        draft(BLUE, 0, **index(1)),
        completed(BLUE, usage=None),
    ]
    upstream.script(Reply([*steps, DONE]))
    given = await run(engine, Draw("a boat", "512x512", images=2, partial_images=1))
    assert [(each.image, each.partial) for each in given if isinstance(each, Drawn)] == [
        (0, 0),
        (0, None),
        (1, 0),
        (1, None),
    ]
    reports = [each.usage for each in given if isinstance(each, UsageReport)]
    assert reports[-1] == Usage(input_tokens=12, output_tokens=300, units=2)


async def test_a_picture_of_many_megabytes_in_one_event(upstream: Upstream, engine: OpenAIImages) -> None:
    large = RED + bytes(6_000_000)
    upstream.script(Reply([completed(large)]))
    given = await run(engine, DRAFTS)
    assert given[-1] == Drawn(0, large, "image/png")


@pytest.mark.parametrize(
    "reply",
    [
        Reply([b"<html>"], 200, JSON),
        Reply([b"{}"], 200, JSON),
        listed([]),
        images(RED, RED),
        listed([{"b64_json": "no base64!"}]),
        images(b"no picture"),
        listed([{"b64_json": None}]),
        listed([{"url": ""}]),
    ],
)
async def test_what_are_no_pictures_is_a_failure(upstream: Upstream, engine: OpenAIImages, reply: Reply) -> None:
    upstream.script(reply)
    with pytest.raises(EngineFailed):
        await run(engine)


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([completed(RED), completed(RED)], EngineFailed),
        ([draft(b"no picture", 0)], EngineFailed),
        ([draft(RED, 0, image_index=1)], EngineFailed),
        ([b"data: {\n\n"], EngineFailed),
        ([draft(RED, 0)], StreamCut),
        ([draft(RED, 0), DONE], StreamCut),
        ([draft(RED, 0), CUT], StreamCut),
        ([draft(RED, 0), asyncio.Event()], EngineUnavailable),
        ([draft(RED, 0), event({"error": {"message": "busy", "code": "rate_limit_exceeded"}})], EngineBusy),
        ([event({"type": "error", "message": "Unsafe.", "code": "invalid_request_error"})], InvalidRequest),
    ],
)
async def test_a_stream_that_is_not_whole(
    upstream: Upstream, engine: OpenAIImages, steps: list[Any], kind: type[PenstockError]
) -> None:
    upstream.script(Reply(steps))
    with pytest.raises(kind) as raised:
        await run(engine, DRAFTS)
    assert type(raised.value) is kind


@pytest.mark.parametrize("asked", [ONE, DRAFTS], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (refusal(400, {"message": "bad", "param": "prompt"}), InvalidRequest),
        (refusal(401, {"message": "key sk-upstream-1"}), EngineRejected),
        (refusal(404, {"message": "no such model"}), EngineRejected),
        (refusal(429, {"message": "slow down"}), EngineBusy),
        (refusal(503, {"message": "busy"}), EngineBusy),
        (Reply([CUT]), EngineUnavailable),
        (Reply([asyncio.Event()]), EngineUnavailable),
    ],
)
async def test_refusals_and_silence(
    upstream: Upstream, engine: OpenAIImages, asked: Draw, reply: Reply, kind: type[PenstockError]
) -> None:
    upstream.script(reply)
    with pytest.raises(kind) as raised:
        await run(engine, asked)
    assert type(raised.value) is kind
    assert "sk-upstream-1" not in raised.value.message


def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(SetupError, match="response_fromat"):
        OpenAIImages(row("http://127.0.0.1:1/v1", response_fromat="url"), None)
