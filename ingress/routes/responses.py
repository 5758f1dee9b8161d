"""POST /v1/responses, and what can be asked of a stored response."""

import contextlib
import time
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from ingress.answer import StreamedAnswer, WholeAnswer
from ingress.counting import counted
from ingress.door import Door
from ingress.following import Following, events
from ingress.incoming import incoming
from ingress.listing import Order, page_of
from ingress.responding import OPERATION, Asked, ask
from ingress.responses_contract import ENDPOINT
from ingress.translate.openai_responses import ResponsesFold, ResponsesStreamWriter, count_body
from schemas.errors import InvalidRequest, InvalidValue, NotFound, Undecidable
from schemas.jobs import Job
from storage.limits import Scope
from storage.responses import StoredResponse

ONE: Final = ENDPOINT + "/{response_id}"
EVENT_STREAM: Final = {"cache-control": "no-cache", "x-accel-buffering": "no"}
JSON: Final = "application/json"
ENCODE: Final = msgspec.json.Encoder().encode

BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ResponsesRequest"}}},
    }
}

router = APIRouter()


@router.post(
    ENDPOINT,
    summary="Answer an input, whole, as a stream of events, or in the background",
    openapi_extra=BODY,
)
async def create_response(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await ask(door, await incoming(door, request))
    if asked.request.background:
        return await _in_background(door, request, asked)
    with door.tracing.span("submit", request.headers.get("traceparent"), model=asked.model.id) as traceparent:
        submission = await door.submitter.submit(
            asked.key,
            asked.model,
            asked.chat,
            operation=OPERATION,
            stream=asked.stream,
            tokens=asked.tokens,
            traceparent=traceparent,
        )
    head, request_id = asked.head(submission.job), request.state.request_id
    if asked.stream:
        writer = ResponsesStreamWriter(head, time.time, door.settings.responses_dialect)
        keep = asked.keep(door.responses, writer)
        return StreamedAnswer(door.submitter, submission, request_id, started, writer, keep=keep)
    fold = ResponsesFold(head, time.time)
    keep = asked.keep(door.responses, fold)
    return WholeAnswer(door.submitter, submission, request_id, started, fold, keep=keep)


@router.post(
    ENDPOINT + "/input_tokens",
    summary="Tell how many tokens an input is, by the model's own tokenizer where its engine can",
    openapi_extra=BODY,
)
async def count_input_tokens(request: Request) -> Response:
    started = time.perf_counter()
    door: Door = request.app.state.door
    asked = await ask(door, await incoming(door, request))
    return await counted(door, request, started, key=asked.key, model=asked.model, chat=asked.chat, body=count_body)


@router.post(ENDPOINT + "/compact", include_in_schema=False)
async def compact_response(request: Request) -> Response:
    """OpenAI's compaction is its own models' work, sealed for them; there is nothing here to give in its place."""
    door: Door = request.app.state.door
    await door.authenticate(request)
    raise NotFound(
        "Compaction is not available here. Leave out of 'input' what is no longer needed, or ask a model to sum the "
        "conversation up and go on from its answer, without 'previous_response_id'."
    )


@router.get(ONE, summary="A stored response as it stands, or the stream of one that runs in the background")
async def retrieve_response(
    request: Request,
    response_id: str,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    door: Door = request.app.state.door
    response = await _find(door, request, response_id)
    if stream:
        if response.ticket is None and response.chunks is None:
            raise InvalidRequest("Only a response that was made in the background can be streamed.", param="stream")
        return _follow(door, response, {}, -1 if starting_after is None else starting_after)
    if starting_after is not None:
        raise InvalidValue("'starting_after' needs 'stream' to be true.", param="starting_after")
    now = await door.background.current(response)
    if now is None:
        raise _not_found(response_id)
    return Response(now.body, media_type=JSON)


@router.delete(ONE, summary="Forget a stored response; one that still runs is cancelled first")
async def delete_response(request: Request, response_id: str) -> Response:
    door: Door = request.app.state.door
    response = await _find(door, request, response_id)
    await door.background.delete(response)
    return Response(ENCODE({"id": response.id, "object": "response", "deleted": True}), media_type=JSON)


@router.post(ONE + "/cancel", summary="End a response that runs in the background")
async def cancel_response(request: Request, response_id: str) -> Response:
    door: Door = request.app.state.door
    response = await _find(door, request, response_id)
    if response.ticket is None and response.chunks is None:
        raise InvalidRequest("Only a response that was made in the background can be cancelled.", param="response_id")
    now = await door.background.cancel(response)
    if now is None:
        raise _not_found(response_id)
    return Response(now.body, media_type=JSON)


@router.get(ONE + "/input_items", summary="What a stored response answers: all that was said before it")
async def list_input_items(
    request: Request,
    response_id: str,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Order = "desc",
    after: str | None = None,
) -> Response:
    door: Door = request.app.state.door
    response = await _find(door, request, response_id)
    page: dict[str, Any] = page_of([*response.history, *response.input], limit, order, after)
    return Response(ENCODE(page), media_type=JSON)


async def _in_background(door: Door, request: Request, asked: Asked) -> Response:
    """Answers once nothing that dies can lose the job: its record is stored, and the log has acknowledged it."""
    response: StoredResponse | None = None

    async def keep(job: Job, scopes: tuple[Scope, ...]) -> None:
        nonlocal response
        response = asked.pending(job, scopes)
        await door.background.keep(response)

    try:
        with door.tracing.span("submit", request.headers.get("traceparent"), model=asked.model.id) as traceparent:
            _, headers = await door.submitter.leave(
                asked.key,
                asked.model,
                asked.chat,
                operation=OPERATION,
                stream=asked.stream,
                tokens=asked.tokens,
                keep=keep,
                traceparent=traceparent,
            )
    except BaseException:
        if response is not None:
            # Out of reach now, it is found overdue later, and ended.
            with contextlib.suppress(Undecidable):
                await door.background.forget(response)
        raise
    assert response is not None
    if asked.stream:
        return _follow(door, response, headers, -1)
    return Response(response.body, media_type=JSON, headers=headers)


def _follow(door: Door, response: StoredResponse, headers: dict[str, str], after: int) -> Response:
    text = events(Following(door.background, response), door.settings.responses_dialect, after, door.settings.ping_s)
    return StreamingResponse(text, media_type="text/event-stream", headers={**EVENT_STREAM, **headers})


async def _find(door: Door, request: Request, response_id: str) -> StoredResponse:
    key = await door.authenticate(request)
    response = await door.responses.get(key.account, response_id)
    if response is None:
        raise _not_found(response_id)
    return response


def _not_found(response_id: str) -> NotFound:
    return NotFound(f"Response with id '{response_id[:100]}' not found.", param="response_id")
