"""POST /v1/audio/speech."""

import time
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer
from ingress.door import Door
from ingress.incoming import incoming
from ingress.operations.operation import submitted
from ingress.operations.speech import NAME, ask
from ingress.sound import SoundAnswer
from ingress.speech_contract import ENDPOINT
from ingress.translate.openai_speech import CONTENT_TYPES, SpeechStreamWriter

router = APIRouter()

SOUNDS: Final[dict[str, Any]] = {kind: {} for kind in (*CONTENT_TYPES.values(), "text/event-stream")}


@router.post(
    ENDPOINT,
    summary="Speak a text, as the bytes of a sound or as a stream of events",
    response_class=Response,
    responses={200: {"description": "The sound", "content": SOUNDS}},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/SpeechRequest"}}},
        }
    },
)
async def create_speech(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    speech = await ask(door, asked)
    # Its bytes are sent as they are made, whether or not they are put into events.
    submission = await submitted(door, asked, NAME, replace(speech, stream=True))
    request_id = request.state.request_id
    if speech.stream:
        return StreamedAnswer(door.submitter, submission, request_id, started, SpeechStreamWriter())
    content_type = CONTENT_TYPES[speech.work.output_format]
    return SoundAnswer(door.submitter, submission, request_id, started, content_type)
