"""How many tokens a prompt is: a job on the model's lane where its engine counts, else an estimate at once."""

from starlette.requests import Request
from starlette.responses import Response

from ingress.answer import WholeAnswer
from ingress.dialect import dialect_of
from ingress.door import Door
from ingress.tokens import estimate_input_tokens
from ingress.translate.counting import CountBody, CountFold
from schemas.access import AccessKey
from schemas.catalog import Model
from schemas.chat import Chat
from schemas.jobs import COUNT_TOKENS


async def counted(
    door: Door, request: Request, started: float, *, key: AccessKey, model: Model, chat: Chat, body: CountBody
) -> Response:
    """The answer in the dialect of `body`; `started` is when the request came, by time.perf_counter."""
    request_id = request.state.request_id
    if "count_tokens" not in model.abilities:
        headers = dialect_of(request.scope["path"]).headers({"content-type": "application/json"}, request_id)
        return Response(body(estimate_input_tokens(chat)), headers=headers)
    with door.tracing.span("submit", request.headers.get("traceparent"), model=model.id) as traceparent:
        submission = await door.submitter.submit(
            key, model, chat, operation=COUNT_TOKENS, stream=False, tokens=0, traceparent=traceparent
        )
    return WholeAnswer(door.submitter, submission, request_id, started, CountFold(body))
