"""`/v1/videos` and `/v1/video/generations`, between their bodies and their jobs."""

from dataclasses import dataclass
from typing import Final, Literal

from ingress.callbacks import check_callback
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.translate.openai_videos import parse, row_of, to_film
from ingress.videos_contract import ENDPOINT, check_film, check_served
from schemas.catalog import Model
from schemas.media import Film
from storage.async_record import AsyncJob
from storage.async_views import ENCODE, VIDEO, Shown

Family = Literal["videos", "generations"]

NAME: Final = VIDEO
GENERATIONS: Final = "/v1/video/generations"
"""Where DigitalOcean has what OpenAI has at ENDPOINT."""


@dataclass(frozen=True, slots=True)
class VideoAsked:
    model: Model
    work: Film
    webhook_url: str | None


async def ask(door: Door, asked: Incoming) -> VideoAsked:
    """Raises what is wrong with the request."""
    request = await parse(asked.body, asked.headers)
    model = door.catalog.serving(request.model, ENDPOINT)
    asked.authorize(model)
    check_served(model)
    film = to_film(request, model)
    check_film(model, film)
    url = request.webhook_url
    if url is not None:
        check_callback(url, door.settings.webhook_networks, http=door.settings.webhook_http)
    return VideoAsked(model, film, url)


async def started(door: Door, asked: Incoming, video: VideoAsked, family: Family) -> tuple[AsyncJob, dict[str, str]]:
    """The accepted job, and the limits' headers. Raises as `Submitter.start` does."""
    film = video.work
    with door.tracing.span("submit", asked.headers.get("traceparent"), model=video.model.id) as traceparent:
        return await door.submitter.start(
            asked.key,
            video.model,
            film,
            operation=NAME,
            keep_s=row_of(video.model).keep_s,
            callback_url=video.webhook_url,
            context=ENCODE(Shown(family, film.prompt, film.size, film.seconds, film.fps)),
            number=asked.number,
            ticket=asked.ticket,
            traceparent=traceparent,
        )
