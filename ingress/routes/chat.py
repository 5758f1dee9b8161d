"""POST /v1/chat/completions."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import Fold, StreamedAnswer, WholeAnswer, Writer
from ingress.body import read_body
from ingress.contract import check_chat
from ingress.door import Door
from ingress.named import with_places
from ingress.remembering import recall, remembering
from ingress.tokens import reserve_tokens
from ingress.translate.openai_chat import ReplyFold, StreamWriter, parse, to_chat
from ingress.turns import chat_place, check_turns

PATH = "/v1/chat/completions"

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
    key = await door.authenticate(request)
    asked = parse(await read_body(request, door.settings.max_body_bytes, door.settings.body_s))
    model = door.catalog.find(asked.model)
    door.authorize(key, model.id, request)
    check_chat(model, PATH, asked)
    chat = to_chat(asked, model)
    check_turns(chat)
    chat = await recall(door.thinking, key.account, model, with_places(chat, chat_place))
    stream = bool(asked.stream)
    with door.tracing.span("submit", request.headers.get("traceparent"), model=model.id) as traceparent:
        submission = await door.submitter.submit(
            key,
            model,
            chat,
            operation="chat",
            stream=stream,
            tokens=reserve_tokens(chat, model),
            traceparent=traceparent,
        )
    job, request_id = submission.job, request.state.request_id
    created = job.accepted_at_ms // 1000
    remember = remembering(door.thinking, key.account, model, chat)
    keep = None if remember is None else remember.keep
    if not stream:
        fold: Fold = ReplyFold(job.id, model.id, created)
        fold = fold if remember is None else remember.fold(fold)
        return WholeAnswer(door.submitter, submission, request_id, started, fold, keep=keep)
    include_usage = bool(asked.stream_options and asked.stream_options.include_usage)
    writer: Writer = StreamWriter(job.id, model.id, created, include_usage)
    writer = writer if remember is None else remember.writer(writer)
    return StreamedAnswer(door.submitter, submission, request_id, started, writer, keep=keep)
