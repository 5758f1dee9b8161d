"""`/v1/async-invoke`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final

from ingress.bounds import check_endpoint
from ingress.callbacks import check_callback
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.translate.validation import read
from schemas.catalog import Model
from schemas.media import Invoke
from schemas.wire.async_invoke import AsyncInvokeRequest
from storage.async_record import AsyncJob
from storage.async_views import ENCODE, INVOKE, Tag

ENDPOINT: Final = "/v1/async-invoke"
NAME: Final = INVOKE


@dataclass(frozen=True, slots=True)
class InvocationAsked:
    model: Model
    work: Invoke
    tags: tuple[Tag, ...]
    webhook_url: str | None


async def ask(door: Door, asked: Incoming) -> InvocationAsked:
    """Raises what is wrong with the request. What stands in `input` is the application's own to judge."""
    request = read(AsyncInvokeRequest, asked.body)
    model = door.catalog.find(request.model_id, param="model_id")
    asked.authorize(model)
    check_endpoint(model, ENDPOINT, param="model_id")
    url = request.webhook_url
    if url is not None:
        check_callback(url, door.settings.webhook_networks, http=door.settings.webhook_http)
    tags = tuple(Tag(tag.key, tag.value) for tag in request.tags or ())
    return InvocationAsked(model, Invoke(request.input), tags, url)


async def started(door: Door, asked: Incoming, invocation: InvocationAsked) -> tuple[AsyncJob, dict[str, str]]:
    """The accepted job, and the limits' headers. Raises as `Submitter.start` does."""
    model = invocation.model
    assert model.invoke is not None, f"{model.id} is not served here, which was checked"
    with door.tracing.span("submit", asked.headers.get("traceparent"), model=model.id) as traceparent:
        return await door.submitter.start(
            asked.key,
            model,
            invocation.work,
            operation=NAME,
            keep_s=model.invoke.keep_s,
            callback_url=invocation.webhook_url,
            context=ENCODE(invocation.tags),
            number=asked.number,
            ticket=asked.ticket,
            traceparent=traceparent,
        )
