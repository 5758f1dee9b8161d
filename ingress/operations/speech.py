"""`/v1/audio/speech`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final

import msgspec

from ingress.door import Door
from ingress.incoming import Incoming
from ingress.operations.operation import Folding, Operation, Told
from ingress.speech_contract import ENDPOINT, check_speech
from ingress.translate.openai_speech import SpeechFold, parse, to_speak
from schemas.catalog import Model
from schemas.media import AudioFormat, Speak

NAME: Final = "speech"

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final[msgspec.msgpack.Decoder[AudioFormat]] = msgspec.msgpack.Decoder(AudioFormat)


@dataclass(frozen=True, slots=True)
class SpeechAsked:
    """`stream` says that the sound is wanted as events."""

    model: Model
    work: Speak
    stream: bool

    @property
    def tokens(self) -> int:
        """None: what is spoken is counted in characters."""
        return 0

    def state(self, _: Told) -> bytes:
        return ENCODER.encode(self.work.output_format)


async def ask(door: Door, asked: Incoming) -> SpeechAsked:
    request = parse(asked.body)
    model = door.catalog.serving(request.model, ENDPOINT)
    asked.authorize(model)
    row = check_speech(model, request)
    return SpeechAsked(model, to_speak(request, row), request.stream_format == "sse")


def fold(_: Door, told: Told) -> Folding:
    return Folding(SpeechFold(told.model, DECODER.decode(told.state)))


SPEECH: Final = Operation(ENDPOINT, NAME, ask, fold, stream_parameter="stream_format")
