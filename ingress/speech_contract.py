"""What a row says of a speaking model: everything else is refused before it is published."""

from collections.abc import Collection
from typing import Final

from ingress.bounds import check_endpoint
from schemas.catalog import Model
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.media import AudioFormat
from schemas.media_rows import SpeechRow
from schemas.wire.openai_speech import SpeechRequest

ENDPOINT: Final = "/v1/audio/speech"

DEFAULT_FORMAT: Final[AudioFormat] = "mp3"
"""OpenAI's; a row that has no such format gives its first."""


def check_speech(model: Model, request: SpeechRequest) -> SpeechRow:
    """The row's own part, if `model` takes the request; else raises InvalidValue or UnsupportedParameter."""
    check_endpoint(model, ENDPOINT)
    row = model.speech
    assert row is not None, "a row that is served here has its contract"
    _check_input(model, row, request.input)
    voice = voice_of(request)
    if row.voices and not row.any_voice and voice not in row.voices:
        raise _not_one_of("voice", voice, row.voices, model)
    if request.response_format is not None and request.response_format not in row.output_formats:
        raise _not_one_of("response_format", request.response_format, row.output_formats, model)
    _check_speed(model, row, request.speed)
    if request.instructions is not None and not row.instructions:
        raise UnsupportedParameter(
            f"The model '{model.id}' cannot be told how to speak. Leave 'instructions' out.", param="instructions"
        )
    return row


def voice_of(request: SpeechRequest) -> str:
    """The voice's name, whichever way it was written."""
    return request.voice if isinstance(request.voice, str) else request.voice.id


def format_of(row: SpeechRow, request: SpeechRequest) -> AudioFormat:
    if request.response_format is not None:
        return request.response_format
    return DEFAULT_FORMAT if DEFAULT_FORMAT in row.output_formats else row.output_formats[0]


def _check_input(model: Model, row: SpeechRow, text: str) -> None:
    if len(text) > row.max_chars:
        raise InvalidValue(
            f"'input' should have at most {row.max_chars} characters for the model '{model.id}'; got {len(text)}. "
            "Split or shorten it.",
            param="input",
        )
    if not text.strip():
        raise InvalidValue("'input' should not be white space alone.", param="input")


def _check_speed(model: Model, row: SpeechRow, speed: float | None) -> None:
    if speed is None or (row.speed is None and speed == 1):
        return
    if row.speed is None:
        raise UnsupportedParameter(
            f"The model '{model.id}' speaks at one speed only. Leave 'speed' out.", param="speed"
        )
    if not row.speed.min <= speed <= row.speed.max:
        raise InvalidValue(
            f"'speed' should be between {row.speed.min:g} and {row.speed.max:g}; got {speed:g}.", param="speed"
        )


def _not_one_of(name: str, given: str, possible: Collection[str], model: Model) -> InvalidValue:
    listed = ", ".join(possible)
    return InvalidValue(f"'{name}' should be one of {listed} for the model '{model.id}'; got '{given}'.", param=name)
