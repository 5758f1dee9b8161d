"""The speech door, with the official client and without, before the embedded voice and a scripted upstream."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import openai
import pytest
import pytest_asyncio

from schemas.media import AudioFormat
from storage.keys import NewKey
from tests.asking import error_of
from tests.hearing import heard
from tests.stack import Stack
from tests.upstream import CUT, Reply, refusal

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("session_media")]

PATH: Final = "/v1/audio/speech"
PIPER: Final = "piper-en-us-joe"
TEXT: Final = "The river goes by the mill. Then it turns to the sea."
LONG: Final = ("This is one more sentence of a very long story, and it goes on. " * 70)[:4096]
"""Minutes of sound."""

GONE_WITHIN_S: Final = 5.0
MP3: Final = {"Content-Type": "audio/mpeg"}


@pytest_asyncio.fixture(loop_scope="session")
async def sdk(stack: Stack, key: NewKey) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
        yield client


def asked(**fields: Any) -> dict[str, Any]:
    return {"model": "speaker", "input": "Hello.", "voice": "alloy", **fields}


@asynccontextmanager
async def speaking(stack: Stack, key: NewKey, **fields: Any) -> AsyncIterator[httpx2.Response]:
    """An answer as it comes; leaving the block closes its connection."""
    async with stack.client(key.secret) as http, http.stream("POST", PATH, json=asked(**fields)) as response:
        yield response


async def rest_of(pieces: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in pieces])


def events_of(text: str) -> list[Any]:
    return [json.loads(line.removeprefix("data: ")) for line in text.splitlines() if line]


@pytest.mark.parametrize(
    ("output", "content_type"),
    [
        ("mp3", "audio/mpeg"),
        ("opus", "audio/opus"),
        ("aac", "audio/aac"),
        ("flac", "audio/flac"),
        ("wav", "audio/wav"),
        ("pcm", "audio/pcm"),
    ],
)
async def test_a_text_is_heard_in_every_format(
    stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey, output: AudioFormat, content_type: str
) -> None:
    answer = await sdk.audio.speech.create(model=PIPER, input=TEXT, voice="alloy", response_format=output)
    sound = heard(answer.content, output)
    assert 2 < sound.seconds < 8
    assert sound.loudest > 0.2
    assert answer.response.headers["content-type"] == content_type
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.operation, charge.event.end, charge.event.model) == ("speech", "completed", PIPER)
    assert (charge.event.usage.units, charge.event.usage.input_tokens, charge.event.usage.estimated) == (53, 0, False)
    assert (charge.event.price.unit, charge.event.price.unit_microusd_per_million) == ("character", 100_000)


async def test_it_is_read_as_it_comes(sdk: openai.AsyncOpenAI) -> None:
    pieces = []
    async with sdk.audio.speech.with_streaming_response.create(
        model=PIPER, input=TEXT * 3, voice={"id": "voice_1"}, response_format="wav"
    ) as response:
        assert "content-length" not in response.headers
        async for piece in response.iter_bytes():
            pieces.append(piece)
    assert len(pieces) > 1
    assert heard(b"".join(pieces), "wav").seconds > 6


async def test_the_client_that_waits(stack: Stack, key: NewKey) -> None:
    def ask() -> bytes:
        with openai.OpenAI(base_url=stack.base_url, api_key=key.secret, max_retries=0) as client:
            return client.audio.speech.create(model=PIPER, input="Yes.", voice="joe", speed=2).content

    assert heard(await asyncio.to_thread(ask), "mp3").seconds < 2


async def test_as_events(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        body = asked(model=PIPER, input=TEXT, response_format="pcm", stream_format="sse")
        answer = await http.post(PATH, json=body)
    assert answer.headers["content-type"].startswith("text/event-stream")
    *deltas, done = events_of(answer.text)
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    assert heard(b"".join(base64.b64decode(delta["audio"]) for delta in deltas), "pcm").seconds > 2
    usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, "characters": 53}
    assert done == {"type": "speech.audio.done", "usage": usage}


async def test_the_first_of_it_is_there_before_the_rest_is_made(stack: Stack, key: NewKey) -> None:
    go_on = asyncio.Event()
    stack.upstream.script(Reply([b"first", go_on, b" and last"], headers=MP3))
    async with speaking(stack, key) as response:
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"first"
        go_on.set()
        assert await rest_of(pieces) == b" and last"
    assert stack.upstream.asked[0].body == {
        "model": "speaker",
        "input": "Hello.",
        "voice": "alloy",
        "response_format": "mp3",
    }


async def test_a_sound_that_is_cut_upstream_is_cut_here(stack: Stack, key: NewKey) -> None:
    """Bytes of a sound leave no room for an error: the transfer fails, and every client sees that."""
    go_on = asyncio.Event()
    stack.upstream.script(Reply([b"first", go_on, CUT], headers=MP3))
    async with speaking(stack, key) as response:
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"first"
        go_on.set()
        with pytest.raises(httpx2.RemoteProtocolError):
            await rest_of(pieces)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.error_code, charge.event.usage.units) == ("failed", "stream_cut", 6)
    assert charge.cost_microusd == 6 * 100


async def test_events_that_are_cut_upstream_end_in_an_error(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([b"first", CUT], headers=MP3))
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json=asked(stream_format="sse"))
    first, error = events_of(answer.text)
    assert base64.b64decode(first["audio"]) == b"first"
    assert error["error"]["code"] == "stream_cut"


async def test_an_upstream_that_refuses_is_told_as_an_error(stack: Stack, sdk: openai.AsyncOpenAI, key: NewKey) -> None:
    stack.upstream.script(refusal(400, {"message": "voice 'alloy' is not loaded", "param": "voice"}))
    with pytest.raises(openai.BadRequestError) as raised:
        await sdk.audio.speech.create(model="speaker", input="Hello.", voice="alloy")
    assert raised.value.param == "voice"
    assert "is not loaded" in raised.value.message
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.cost_microusd) == ("failed", 0)


@pytest.mark.parametrize("stream_format", ["audio", "sse"])
async def test_an_upstream_without_sound_is_an_error_before_the_status(
    stack: Stack, key: NewKey, stream_format: str
) -> None:
    stack.upstream.script(Reply([], headers=MP3))
    async with stack.client(key.secret) as http:
        answer = await http.post(PATH, json=asked(stream_format=stream_format))
    assert error_of(answer, 502)["code"] == "engine_failed"


async def test_a_client_that_leaves_in_the_middle_is_charged_for_what_it_asked(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([b"first", asyncio.Event()], headers=MP3))
    async with speaking(stack, key) as response:
        assert await anext(response.aiter_bytes()) == b"first"
    at_work = await stack.upstream.arrived(1)
    async with asyncio.timeout(GONE_WITHIN_S):
        await at_work.gone.wait()
    await stack.until_free(key.key.account, GONE_WITHIN_S)
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.units, charge.cost_microusd) == ("cancelled", 6, 600)


async def test_a_client_that_leaves_before_there_is_sound_is_charged_nothing(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([asyncio.Event()], headers=MP3))
    async with stack.client(key.secret) as http:
        asking = asyncio.create_task(http.post(PATH, json=asked()))
        at_work = await stack.upstream.arrived(1)
        await at_work.held.wait()
        asking.cancel()
        async with asyncio.timeout(GONE_WITHIN_S):
            await at_work.gone.wait()
    (charge,) = await stack.charges(key.key.account, 1)
    assert (charge.event.end, charge.event.usage.units, charge.cost_microusd) == ("cancelled", 0, 0)


async def test_sounds_that_come_faster_than_they_are_passed_on_cost_no_other_stream_its_channel(
    stack: Stack, key: NewKey
) -> None:
    megabyte = b"x" * 1_000_000
    stack.upstream.otherwise = Reply([megabyte] * 24, headers=MP3)
    async with speaking(stack, key) as slow:
        pieces = slow.aiter_bytes()
        begun_bytes = len(await anext(pieces))
        async with stack.client(key.secret) as http:
            answers = await asyncio.gather(*[http.post(PATH, json=asked()) for _ in range(3)])
        assert begun_bytes + len(await rest_of(pieces)) == 24_000_000
    assert [len(answer.content) for answer in answers] == [24_000_000] * 3
    assert await stack.log_count("media", "reply_channel_gone") == 0


async def test_the_embedded_voice_stops_when_its_clients_leave(stack: Stack, key: NewKey) -> None:
    """As many as it speaks at once: the next one would wait for minutes."""
    for _ in range(2):
        async with speaking(stack, key, model=PIPER, input=LONG) as response:
            assert await anext(response.aiter_bytes())
    left_at = time.monotonic()
    async with stack.client(key.secret) as http:
        assert (await http.post(PATH, json=asked(model=PIPER))).status_code == 200
    assert time.monotonic() - left_at < GONE_WITHIN_S
    charges = await stack.charges(key.key.account, 3)
    assert [(charge.event.end, charge.event.usage.units) for charge in charges] == [
        ("cancelled", 4096),
        ("cancelled", 4096),
        ("completed", 6),
    ]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"input": ""}, "input", "invalid_value"),
    ({"input": " \n\t"}, "input", "invalid_value"),
    ({"input": "a" * 41}, "input", "invalid_value"),
    ({"input": ["a"]}, "input", "invalid_value"),
    ({"input": None}, "input", "invalid_value"),
    ({"voice": ""}, "voice", "invalid_value"),
    ({"voice": None}, "voice", "invalid_value"),
    ({"voice": 1}, "voice", "invalid_value"),
    ({"voice": {}}, "voice.id", "invalid_value"),
    ({"voice": {"id": ""}}, "voice.id", "invalid_value"),
    ({"voice": {"id": "alloy", "name": "x"}}, "voice.name", "unsupported_parameter"),
    ({"voice": "echo"}, "voice", "invalid_value"),
    ({"voice": {"id": "echo"}}, "voice", "invalid_value"),
    ({"response_format": "ogg"}, "response_format", "invalid_value"),
    ({"response_format": "aac"}, "response_format", "invalid_value"),
    ({"speed": 0.4}, "speed", "invalid_value"),
    ({"speed": 2.1}, "speed", "invalid_value"),
    ({"speed": "1"}, "speed", "invalid_value"),
    ({"speed": True}, "speed", "invalid_value"),
    ({"stream_format": "events"}, "stream_format", "invalid_value"),
    ({"instructions": ""}, "instructions", "invalid_value"),
    ({"instructions": "a" * 4097}, "instructions", "invalid_value"),
    ({"model": PIPER, "instructions": "Whisper."}, "instructions", "unsupported_parameter"),
    ({"model": PIPER, "input": "a" * 4097}, "input", "invalid_value"),
    ({"model": "scripted"}, "model", "invalid_value"),
    ({"model": ""}, "model", "invalid_value"),
    ({"sampling": 1}, "sampling", "unsupported_parameter"),
    ({"stream": True}, "stream", "unsupported_parameter"),
]


@pytest.mark.parametrize(("fields", "param", "code"), WRONG, ids=[f"{each[0]}"[:50] for each in WRONG])
async def test_what_is_refused_at_the_door(
    stack: Stack, key: NewKey, fields: dict[str, Any], param: str, code: str
) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json=asked(**fields)), 400)
    assert (error["param"], error["code"]) == (param, code)
    assert stack.upstream.asked == []


async def test_a_model_that_is_not_there(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await sdk.audio.speech.create(model="tts-1", input="Hello.", voice="alloy")


async def test_a_speaking_model_does_not_chat(stack: Stack, sdk: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="/v1/audio/speech"):
        await sdk.chat.completions.create(model=PIPER, messages=[{"role": "user", "content": "Hello."}])


async def test_a_text_that_holds_nothing_to_be_said_is_the_callers_mistake(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.post(PATH, json=asked(model=PIPER, input="\u200b")), 400)
    assert error["param"] == "input"


async def test_a_worker_killed_in_the_middle_cuts_the_sound_and_the_text_is_charged(
    breakable: Stack, account: str
) -> None:
    key = await breakable.create_key(account)
    await breakable.start("media")
    breakable.upstream.script(Reply([b"first", asyncio.Event()], headers=MP3))
    async with speaking(breakable, key) as response:
        pieces = response.aiter_bytes()
        assert await anext(pieces) == b"first"
        await breakable.kill("media")
        await breakable.start("media")
        with pytest.raises(httpx2.RemoteProtocolError):
            await rest_of(pieces)
    assert len(breakable.upstream.asked) == 1, "what was begun is not said again"
    (charge,) = await breakable.charges(account, 1)
    assert (charge.event.end, charge.event.error_code, charge.cost_microusd) == ("failed", "worker_lost", 600)
