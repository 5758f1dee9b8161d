"""POST /v1/images/generations."""

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.door import Door
from ingress.images_contract import ENDPOINT
from ingress.incoming import incoming
from ingress.operations.images import NAME, ask, fold, pictures
from ingress.operations.operation import Told, submitted
from ingress.translate.openai_images import ImagesWriter

router = APIRouter()


@router.post(
    ENDPOINT,
    summary="Draw pictures of a prompt, whole or as a stream of drafts and pictures",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ImageRequest"}}},
        }
    },
)
async def create_image(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await incoming(door, request)
    images = await ask(door, asked)
    submission = await submitted(door, asked, NAME, images)
    request_id = request.state.request_id
    if images.stream:
        found = pictures(door, images.head)
        writer = ImagesWriter(images.head, found.shown, time.time)
        return StreamedAnswer(door.submitter, submission, request_id, started, writer, fetch=found.fetch)
    told = Told.of(submission.job)
    whole = fold(door, told._replace(state=images.state(told)))
    return WholeAnswer(door.submitter, submission, request_id, started, whole.fold, fetch=whole.fetch)
