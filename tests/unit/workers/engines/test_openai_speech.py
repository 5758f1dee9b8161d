"""Speech from an upstream: what it is asked, and what its answers mean."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from schemas.catalog import Model
from schemas.errors import EngineFailed, EngineRejected, EngineUnavailable, InvalidRequest, PenstockError, StreamCut
from schemas.media import Speak
from schemas.media_chunks import Audio
from tests.upstream import CUT, Reply, Upstream, refusal
from workers.engine import EngineBusy
from workers.engines.openai_speech import OpenAISpeech

MP3: Final = {"Content-Type": "audio/mpeg"}


def engine_at(url: str, **fields: Any) -> OpenAISpeech:
    row = {"id": "m", "modality": "speech", "engine": "openai_compatible", "base_url": url, "speech": {}, **fields}
    return OpenAISpeech(Model.model_validate(row), "secret")


async def sound_of(engine: OpenAISpeech, asked: Speak | None = None) -> bytes:
    sound = b""
    try:
        async for batch in engine.generate("job-1", asked or Speak("Hello.", "alloy")):
            sound += b"".join(delta.data for delta in batch if isinstance(delta, Audio))
    finally:
        await engine.close()
    return sound


async def test_what_is_asked_of_the_upstream() -> None:
    async with Upstream() as upstream:
        upstream.script(Reply([b"abc", b"def"], headers=MP3))
        assert await sound_of(engine_at(upstream.url, upstream_model="tts")) == b"abcdef"
        (asked,) = upstream.asked
        assert asked.target == "/v1/audio/speech"
        assert asked.body == {"model": "tts", "input": "Hello.", "voice": "alloy", "response_format": "mp3"}
        assert asked.headers["authorization"] == "Bearer secret"
        assert asked.headers["accept"] == "audio/*"
        assert asked.headers["x-request-id"] == "job-1"


async def test_speed_and_instructions_and_the_rows_own_fields() -> None:
    async with Upstream() as upstream:
        upstream.script(Reply([b"abc"], headers=MP3))
        options = {"body": {"task_type": "VoiceDesign"}, "headers": {"X-Pool": "a"}, "stream_formats": ["pcm"]}
        asked = Speak("Hello.", "alloy", "pcm", instructions="Speak slowly.", speed=0.5)
        await sound_of(engine_at(upstream.url, engine_options=options), asked)
        assert upstream.asked[0].body == {
            "model": "m",
            "task_type": "VoiceDesign",
            "input": "Hello.",
            "voice": "alloy",
            "response_format": "pcm",
            "instructions": "Speak slowly.",
            "speed": 0.5,
        }
        assert upstream.asked[0].headers["x-pool"] == "a"


@pytest.mark.parametrize(("output", "told"), [("pcm", "audio"), ("mp3", None)])
async def test_an_upstream_that_has_to_be_told_to_stream(output: Any, told: str | None) -> None:
    """vLLM-Omni streams raw formats only, and only when it is asked to."""
    async with Upstream() as upstream:
        upstream.script(Reply([b"abc"], headers=MP3))
        engine = engine_at(upstream.url, engine_options={"stream_formats": ["pcm", "wav"]})
        await sound_of(engine, Speak("Hello.", "alloy", output))
        assert upstream.asked[0].body.get("stream_format") == told


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (refusal(400, {"message": "no such voice", "param": "voice"}), InvalidRequest),
        (refusal(401, {"message": "bad key"}), EngineRejected),
        (refusal(404, {"message": "no such model"}), EngineRejected),
        (refusal(429, {"message": "slow down"}), EngineBusy),
        (refusal(500, {"message": "out of memory"}), EngineUnavailable),
        (Reply([b"{}"], headers={"Content-Type": "application/json"}), EngineFailed),
        (Reply([b"<html>"], headers={"Content-Type": "text/html"}), EngineFailed),
        (Reply([], headers=MP3), EngineFailed),
        (Reply([CUT], headers=MP3), EngineUnavailable),
        (Reply([b"abc", asyncio.Event()], headers=MP3), EngineUnavailable),
    ],
    ids=["400", "401", "404", "429", "500", "JSON", "HTML", "nothing", "cut before it began", "silent"],
)
async def test_answers_that_are_no_sound(reply: Reply, error: type[PenstockError]) -> None:
    async with Upstream() as upstream:
        upstream.script(reply, reply)
        with pytest.raises(error) as raised:
            await sound_of(engine_at(upstream.url, timeouts={"silence_s": 0.2}))
    assert type(raised.value) is error
    if error is InvalidRequest:
        assert (raised.value.message, raised.value.param) == ("no such voice", "voice")


async def test_a_chunked_answer_that_is_cut_is_no_end() -> None:
    async with Upstream() as upstream:
        go_on = asyncio.Event()
        upstream.script(Reply([b"abc", go_on, CUT], headers=MP3))
        engine = engine_at(upstream.url)
        batches = engine.generate("job-1", Speak("Hello.", "alloy"))
        assert (await anext(batches))[0] == Audio(b"abc")
        go_on.set()
        with pytest.raises(StreamCut):
            await anext(batches)
        await engine.close()


@asynccontextmanager
async def answering(head: bytes, body: bytes) -> AsyncIterator[str]:
    """An upstream that sends just these bytes, then closes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n" + head + b"\r\n" + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


async def test_a_length_that_is_kept_is_an_end() -> None:
    async with answering(b"Content-Length: 6\r\n", b"abcdef") as url:
        assert await sound_of(engine_at(url)) == b"abcdef"


async def test_a_length_that_is_not_kept_is_a_cut() -> None:
    async with answering(b"Content-Length: 600\r\n", b"abcdef") as url:
        with pytest.raises(StreamCut):
            await sound_of(engine_at(url))


async def test_an_answer_whose_end_could_not_be_told_is_none() -> None:
    async with answering(b"Connection: close\r\n", b"abcdef") as url:
        with pytest.raises(EngineFailed):
            await sound_of(engine_at(url))
