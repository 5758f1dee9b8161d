"""POST /v1/completions."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.completions_contract import ENDPOINT
from ingress.door import Door
from ingress.incoming import incoming
from ingress.operations.completions import NAME, ask, fold
from ingress.operations.operation import Told, submitted
from ingress.translate.openai_completions import CompletionStreamWriter

router = APIRouter()


@router.post(
    ENDPOINT,
    summary="Answer a prompt as a user's message, whole or as a stream of events",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/CompletionRequest"}}},
        }
    },
)
async def create_completion(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    completion = await ask(door, asked)
    submission = await submitted(door, asked, NAME, completion)
    told, request_id = Told.of(submission.job), request.state.request_id
    if not completion.stream:
        return WholeAnswer(door.submitter, submission, request_id, started, fold(door, told).fold)
    options = completion.request.stream_options
    writer = CompletionStreamWriter(told.job_id, told.model, told.created, bool(options and options.include_usage))
    return StreamedAnswer(door.submitter, submission, request_id, started, writer)
