"""POST /v1/completions."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.body import read_body
from ingress.completions_contract import ENDPOINT, check_completion
from ingress.door import Door
from ingress.tokens import reserve_tokens
from ingress.translate.openai_completions import CompletionFold, CompletionStreamWriter, parse, to_chat

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
    key = await door.authenticate(request)
    asked = parse(await read_body(request, door.settings.max_body_bytes, door.settings.body_s))
    model = door.catalog.find(asked.model)
    door.authorize(key, model.id, request)
    check_completion(model, asked)
    chat = to_chat(asked, model)
    with door.tracing.span("submit", request.headers.get("traceparent"), model=model.id) as traceparent:
        submission = await door.submitter.submit(
            key,
            model,
            chat,
            operation="completions",
            stream=bool(asked.stream),
            tokens=reserve_tokens(chat, model),
            traceparent=traceparent,
        )
    job, request_id = submission.job, request.state.request_id
    created = job.accepted_at_ms // 1000
    if not asked.stream:
        fold = CompletionFold(job.id, model.id, created)
        return WholeAnswer(door.submitter, submission, request_id, started, fold)
    include_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    writer = CompletionStreamWriter(job.id, model.id, created, include_usage)
    return StreamedAnswer(door.submitter, submission, request_id, started, writer)
