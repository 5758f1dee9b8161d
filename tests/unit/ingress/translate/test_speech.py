"""Sound in OpenAI's words: `speech.audio.delta` and `speech.audio.done`, as its reference has them (2026-11)."""

import base64
import json
from typing import Any

from ingress.translate.openai_speech import SpeechFold, SpeechStreamWriter
from schemas.chunks import Ended
from schemas.errors import StreamCut
from schemas.media_chunks import Audio
from schemas.usage import Usage

DONE = Ended("completed", Usage(input_tokens=3, output_tokens=4, units=6))
CUT = Ended("failed", Usage(units=6), StreamCut("cut").data())


def events(written: bytes) -> list[Any]:
    frames = written.decode().split("\n\n")
    assert frames.pop() == "", "complete after every call"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def test_sound_that_is_ready_together_is_one_event() -> None:
    written = events(SpeechStreamWriter().write([Audio(b"\xff\x00"), Audio(b"\x01")]))
    assert written == [{"type": "speech.audio.delta", "audio": base64.b64encode(b"\xff\x00\x01").decode()}]


def test_the_last_event_tells_the_count() -> None:
    writer = SpeechStreamWriter()
    writer.write([Audio(b"a")])
    last = events(writer.write([Audio(b"b"), DONE]))
    assert [each["type"] for each in last] == ["speech.audio.delta", "speech.audio.done"]
    assert last[1]["usage"] == {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7, "characters": 6}


def test_a_cut_sound_has_no_last_event() -> None:
    first, error = events(SpeechStreamWriter().write([Audio(b"a"), CUT]))
    assert first["type"] == "speech.audio.delta"
    assert error["error"]["code"] == "stream_cut"


def test_an_end_without_sound_is_none() -> None:
    (error,) = events(SpeechStreamWriter().write([DONE]))
    assert error["error"]["code"] == "engine_failed"


def test_an_end_without_a_reason_is_none() -> None:
    _, error = events(SpeechStreamWriter().write([Audio(b"a"), Ended("cancelled", Usage())]))
    assert "cancelled" in error["error"]["message"]


def test_a_whole_sound_is_one_body() -> None:
    fold = SpeechFold("m", "opus")
    for chunk in (Audio(b"\xff\x00"), Audio(b"\x01"), DONE):
        fold.add([chunk])
    assert fold.error is None
    reply = json.loads(fold.reply())
    assert base64.b64decode(reply["audio"]) == b"\xff\x00\x01"
    assert (reply["model"], reply["content_type"], reply["usage"]["characters"]) == ("m", "audio/opus", 6)


def test_a_whole_sound_that_failed_is_none() -> None:
    fold = SpeechFold("m", "mp3")
    fold.add([Audio(b"a"), CUT])
    assert fold.error is not None
    assert fold.error.code == "stream_cut"
