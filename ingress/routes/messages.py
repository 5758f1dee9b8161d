"""POST /v1/messages and POST /v1/messages/count_tokens, and what Anthropic's clients ask beside them."""

import time
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.counting import counted
from ingress.dialect import PLACES
from ingress.door import Door
from ingress.incoming import incoming
from ingress.operations.messages import NAME, ask, checked, fold
from ingress.operations.operation import Told, submitted
from ingress.tokens import estimate_input_tokens
from ingress.translate.anthropic import MessagesStreamWriter, count_body, parse_count

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
    asked = await incoming(door, request)
    message = await ask(door, asked)
    submission = await submitted(door, asked, NAME, message)
    told, request_id = Told.of(submission.job), request.state.request_id
    if not message.stream:
        return WholeAnswer(door.submitter, submission, request_id, started, fold(door, told).fold)
    writer = MessagesStreamWriter(told.job_id, told.model, estimate_input_tokens(message.work))
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
    asked = await incoming(door, request)
    model, chat = checked(door, asked, parse_count(asked.body))
    return await counted(door, request, started, key=asked.key, model=model, chat=chat, body=count_body)


@router.get("/api/hello", include_in_schema=False)
@router.head("/api/hello", include_in_schema=False)
@router.head("/", include_in_schema=False)
async def hello() -> Response:
    """Claude Code asks one of these first, to see whether anybody is there."""
    return Response()
