"""POST /v1/chat/completions."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer, Writer
from ingress.door import Door
from ingress.incoming import incoming
from ingress.operations.chat import NAME, PATH, ask, fold
from ingress.operations.operation import Told, submitted
from ingress.translate.openai_chat import StreamWriter

router = APIRouter()


@router.post(
    PATH,
    summary="Answer a conversation, whole or as a stream of events",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatCompletionRequest"}}},
        }
    },
)
async def create_chat_completion(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    chat = await ask(door, asked)
    submission = await submitted(door, asked, NAME, chat)
    told, request_id = Told.of(submission.job), request.state.request_id
    if not chat.stream:
        whole = fold(door, told._replace(state=chat.state(told)))
        return WholeAnswer(door.submitter, submission, request_id, started, whole.fold, keep=whole.keep)
    options, remember = chat.request.stream_options, chat.remember
    writer: Writer = StreamWriter(told.job_id, told.model, told.created, bool(options and options.include_usage))
    if remember is None:
        return StreamedAnswer(door.submitter, submission, request_id, started, writer)
    return StreamedAnswer(door.submitter, submission, request_id, started, remember.writer(writer), keep=remember.keep)
