"""What a speech row allows."""

from typing import Any

import pytest

from ingress.speech_contract import check_speech
from ingress.translate.openai_speech import to_speak
from schemas.catalog import Model
from schemas.errors import InvalidValue, PenstockError, UnsupportedParameter
from schemas.media import Speak
from schemas.wire.openai_speech import SpeechRequest


def row(**contract: Any) -> Model:
    return Model.model_validate(
        {
            "id": "m",
            "modality": "speech",
            "engine": "openai_compatible",
            "base_url": "http://127.0.0.1:1/v1",
            "speech": contract,
        }
    )


def speak(contract: dict[str, Any], **fields: Any) -> Speak:
    request = SpeechRequest.model_validate({"model": "m", "input": "Hello.", "voice": "alloy", **fields})
    return to_speak(request, check_speech(row(**contract), request))


@pytest.mark.parametrize(
    ("contract", "fields"),
    [
        ({}, {"input": "a" * 4096}),
        ({"max_chars": 3}, {"input": "😀é字"}),
        ({}, {"voice": "anything"}),
        ({"voices": ["alloy"]}, {"voice": {"id": "alloy"}}),
        ({"voices": ["joe"], "any_voice": True}, {"voice": "nova"}),
        ({}, {"speed": 0.25}),
        ({}, {"speed": 4}),
        ({"speed": None}, {"speed": 1.0}),
        ({"instructions": True}, {"instructions": "Whisper."}),
        ({}, {"stream_format": "sse"}),
    ],
)
def test_what_is_taken(contract: dict[str, Any], fields: dict[str, Any]) -> None:
    speak(contract, **fields)


@pytest.mark.parametrize(
    ("contract", "fields", "param", "error"),
    [
        ({}, {"input": "a" * 4097}, "input", InvalidValue),
        ({"max_chars": 512}, {"input": "a" * 513}, "input", InvalidValue),
        ({}, {"input": " \u00a0\n"}, "input", InvalidValue),
        ({"voices": ["joe"]}, {"voice": "nova"}, "voice", InvalidValue),
        ({"output_formats": ["mp3", "wav"]}, {"response_format": "opus"}, "response_format", InvalidValue),
        ({}, {"speed": 0.24}, "speed", InvalidValue),
        ({}, {"speed": 4.01}, "speed", InvalidValue),
        ({"speed": None}, {"speed": 1.5}, "speed", UnsupportedParameter),
        ({}, {"instructions": "Whisper."}, "instructions", UnsupportedParameter),
    ],
)
def test_what_is_refused(
    contract: dict[str, Any], fields: dict[str, Any], param: str, error: type[PenstockError]
) -> None:
    with pytest.raises(error) as raised:
        speak(contract, **fields)
    assert type(raised.value) is error
    assert raised.value.param == param


def test_what_nothing_means() -> None:
    assert speak({}) == Speak("Hello.", "alloy", "mp3", None, 1.0)


def test_a_row_without_mp3_gives_its_first_format() -> None:
    assert speak({"output_formats": ["pcm", "wav"]}).output_format == "pcm"


def test_a_row_with_one_voice_speaks_with_it_whatever_name_comes() -> None:
    assert speak({"voices": ["default"], "any_voice": True}, voice="alloy").voice == "default"
    assert speak({"voices": ["joe", "amy"], "any_voice": True}, voice={"id": "amy"}).voice == "amy"
    assert speak({}, voice="alloy").voice == "alloy"
