"""POST /v1/messages and POST /v1/messages/count_tokens, and what Anthropic's clients ask beside them."""

import time
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.body import read_body
from ingress.counting import counted
from ingress.dialect import PLACES
from ingress.door import Door
from ingress.messages_contract import check_messages, places_of, within_abilities
from ingress.named import with_places
from ingress.tokens import estimate_input_tokens, reserve_tokens
from ingress.translate.anthropic import (
    BETA_HEADER,
    MessagesFold,
    MessagesStreamWriter,
    count_body,
    parse,
    parse_count,
    to_chat,
)
from schemas.access import AccessKey
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.wire.anthropic import CountTokensRequest

AGAIN: Final = ("/v1/messages/v1/messages", PLACES[1])
"""Where clients ask whose base URL is the whole address, or ends in `/v1`: they put `/v1/messages` behind it."""

COUNT: Final = "/count_tokens"

router = APIRouter()


def _described_by(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


@router.post(AGAIN[0], include_in_schema=False)
@router.post(AGAIN[1], include_in_schema=False)
@router.post(
    PLACES[0],
    summary="Answer a conversation as Anthropic does, whole or as a stream of events",
    openapi_extra=_described_by("MessagesRequest"),
)
async def create_message(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    asked = parse(await read_body(request, door.settings.max_body_bytes, door.settings.body_s))
    model, chat = _checked(door, key, request, asked)
    stream = bool(asked.stream)
    with door.tracing.span("submit", request.headers.get("traceparent"), model=model.id) as traceparent:
        submission = await door.submitter.submit(
            key,
            model,
            chat,
            operation="messages",
            stream=stream,
            tokens=reserve_tokens(chat, model),
            traceparent=traceparent,
        )
    job, request_id = submission.job, request.state.request_id
    if not stream:
        return WholeAnswer(door.submitter, submission, request_id, started, MessagesFold(job.id, model.id))
    writer = MessagesStreamWriter(job.id, model.id, estimate_input_tokens(chat))
    return StreamedAnswer(door.submitter, submission, request_id, started, writer)


@router.post(AGAIN[0] + COUNT, include_in_schema=False)
@router.post(AGAIN[1] + COUNT, include_in_schema=False)
@router.post(
    PLACES[0] + COUNT,
    summary="Tell how many tokens a conversation is, by the model's own tokenizer where its engine can",
    openapi_extra=_described_by("CountTokensRequest"),
)
async def count_tokens(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    key = await door.authenticate(request)
    asked = parse_count(await read_body(request, door.settings.max_body_bytes, door.settings.body_s))
    model, chat = _checked(door, key, request, asked)
    return await counted(door, request, started, key=key, model=model, chat=chat, body=count_body)


@router.get("/api/hello", include_in_schema=False)
@router.head("/api/hello", include_in_schema=False)
@router.head("/", include_in_schema=False)
async def hello() -> Response:
    """Claude Code asks one of these first, to see whether anybody is there."""
    return Response()


def _checked(door: Door, key: AccessKey, request: Request, asked: CountTokensRequest) -> tuple[Model, Chat]:
    model = door.catalog.find(asked.model)
    door.authorize(key, model.id, request)
    betas = ",".join(request.headers.getlist(BETA_HEADER)) or None
    chat = within_abilities(model, to_chat(asked, betas))
    check_messages(model, asked, chat)
    return model, with_places(chat, places_of(asked))
