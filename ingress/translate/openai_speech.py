"""OpenAI's speech: the request as work, and sound as its answer, as bytes, as events or as one body."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from ingress.errors import openai_error_frame
from ingress.speech_contract import format_of, voice_of
from ingress.translate.validation import read
from schemas.chunks import Chunk, Ended
from schemas.errors import EngineFailed, ErrorData, InternalError
from schemas.media import AudioFormat, Speak
from schemas.media_chunks import Audio
from schemas.media_rows import SpeechRow
from schemas.usage import Usage
from schemas.wire.openai_speech import SpeechRequest

ENCODE: Final = msgspec.json.Encoder().encode

CONTENT_TYPES: Final[Mapping[AudioFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
"""What OpenAI calls each (2026-11)."""


def parse(body: bytes) -> SpeechRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(SpeechRequest, body)


def to_speak(request: SpeechRequest, row: SpeechRow) -> Speak:
    """A row that takes any voice's name speaks with its first one where it has none of that name."""
    voice = voice_of(request)
    if row.any_voice and row.voices and voice not in row.voices:
        voice = row.voices[0]
    return Speak(
        text=request.input,
        voice=voice,
        output_format=format_of(row, request),
        instructions=request.instructions,
        speed=1.0 if request.speed is None else request.speed,
    )


def sound_of(chunks: Sequence[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks if isinstance(chunk, Audio))


def speech_error(ended: Ended, *, heard: bool) -> ErrorData | None:
    """Why a job's end is not the end of a sound; None when it is."""
    if ended.error is not None:
        return ended.error
    if ended.end != "completed":
        return InternalError(f"The job ended as {ended.end} without a reason.").data()
    return None if heard else EngineFailed("The engine gave no sound.").data()


class SpeechStreamWriter:
    """Writes a sound's events; a job that failed ends with an error frame and nothing that looks like an end."""

    def __init__(self) -> None:
        self._heard = False

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given, in its order; complete after every call."""
        events = []
        if sound := sound_of(chunks):
            self._heard = True
            events.append(_event({"type": "speech.audio.delta", "audio": sound}))
        if chunks and isinstance(ended := chunks[-1], Ended):
            error = speech_error(ended, heard=self._heard)
            done = {"type": "speech.audio.done", "usage": _usage_body(ended.usage)}
            events.append(_event(done) if error is None else openai_error_frame(error))
        return b"".join(events)


class SpeechFold:
    """Gathers one sound into a body of JSON, for who is answered without HTTP.

    After the end, either `error` says why there is none or `reply` gives it.
    """

    def __init__(self, model: str, output_format: AudioFormat) -> None:
        self._model = model
        self._format = output_format
        self._sound: list[bytes] = []
        self._usage = Usage()
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        self._sound.append(sound_of(chunks))
        if chunks and isinstance(ended := chunks[-1], Ended):
            self._usage = ended.usage
            self.error = speech_error(ended, heard=any(self._sound))

    def reply(self) -> bytes:
        """The whole sound as base64, and what it is."""
        return ENCODE(
            {
                "object": "audio.speech",
                "model": self._model,
                "audio": b"".join(self._sound),
                "content_type": CONTENT_TYPES[self._format],
                "usage": _usage_body(self._usage),
            }
        )


def _event(body: dict[str, Any]) -> bytes:
    """msgspec writes bytes as base64."""
    return b"data: " + ENCODE(body) + b"\n\n"


def _usage_body(usage: Usage) -> dict[str, int]:
    """OpenAI's fields, and what most models that speak are sold by."""
    total = usage.input_tokens + usage.output_tokens
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": total,
        "characters": usage.units,
    }
