"""The body of `POST /v1/audio/speech`: OpenAI's, of which DigitalOcean's is a part."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from schemas.media import AudioFormat
from schemas.wire.openai_parts import Wire

VoiceName = Annotated[str, Field(min_length=1, max_length=256)]


class VoiceId(Wire):
    id: VoiceName


def _voice_shape(value: Any) -> str | None:
    match value:
        case str():
            return "(name)"
        case dict() | VoiceId():
            return "(object)"
        case _:
            return None


Voice = Annotated[
    Annotated[VoiceName, Tag("(name)")] | Annotated[VoiceId, Tag("(object)")],
    Discriminator(
        _voice_shape,
        custom_error_type="voice_shape",
        custom_error_message="should be a name or an object with an 'id'",
    ),
]


class SpeechRequest(Wire):
    """A text to be spoken. How long it may be, which voices and formats there are, is the row's to say."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Annotated[str, Field(min_length=1)]
    voice: Voice
    response_format: AudioFormat | None = None
    speed: float | None = None
    instructions: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    stream_format: Literal["audio", "sse"] | None = None
