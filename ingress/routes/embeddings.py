"""POST /v1/embeddings."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import WholeAnswer
from ingress.door import Door
from ingress.embeddings_contract import ENDPOINT
from ingress.incoming import incoming
from ingress.operations.embeddings import NAME, ask, fold
from ingress.operations.operation import Told, submitted

router = APIRouter()


@router.post(
    ENDPOINT,
    summary="Turn texts into vectors",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingRequest"}}},
        }
    },
)
async def create_embeddings(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    embeddings = await ask(door, asked)
    submission = await submitted(door, asked, NAME, embeddings)
    told = Told.of(submission.job)
    whole = fold(door, told._replace(state=embeddings.state(told)))
    return WholeAnswer(door.submitter, submission, request.state.request_id, started, whole.fold)
