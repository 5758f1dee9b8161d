"""Any upstream that speaks OpenAI's videos: vLLM-Omni, OpenAI, another Penstock."""

import base64
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from schemas.catalog import Model
from schemas.errors import EngineFailed, InternalError, InvalidRequest
from schemas.media import Film
from storage.async_record import Made, RemoteFile
from workers.engines import openai_errors, setup
from workers.engines.film_units import film_usage
from workers.engines.job_calls import Answer, JobCalls, decoded
from workers.engines.upstream import checked_headers
from workers.job_engine import Failed, JobAsked, Queued, Running, State, UncertainStart

VIDEO: Final = RemoteFile("video.mp4", "video", "video/mp4")
THUMBNAIL: Final = RemoteFile("thumbnail.webp", "thumbnail", "image/webp")

QUEUED: Final = frozenset({"queued", "pending"})
RUNNING: Final = frozenset({"in_progress", "processing", "running"})
DONE: Final = frozenset({"completed", "succeeded"})
MOST_S: Final = 86_400.0
ENDINGS: Final[Mapping[str, str]] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible video row.

    `idempotency`: the upstream takes a POST with the same Idempotency-Key for the same job, so that one whose answer
    was lost is found again. `thumbnail`: it has one. `send_fps`: it takes `fps`, which OpenAI does not. `fields` go
    with every request, as vLLM-Omni's num_inference_steps.
    """

    idempotency: bool = False
    thumbnail: bool = False
    send_fps: bool = False
    fields: dict[str, str | int | float] = msgspec.field(default_factory=dict)
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    max_bytes: int = 2 * 1024 * 1024 * 1024


class _Video(msgspec.Struct):
    id: str
    status: str = ""
    progress: float | None = None
    error: Any = None
    seconds: Any = None


DECODER: Final = msgspec.json.Decoder(_Video)


class OpenAIVideos:
    """One row's upstream; a handle is its id of the video."""

    def __init__(self, model: Model, secret: str | None) -> None:
        self._options = options = setup.options(model, Options)
        self._model = model.id
        self._upstream_name = model.upstream_name
        self._unit = model.price.unit
        self._secret = secret
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        self._calls = JobCalls(model, {**bearer, **checked_headers(model, options.headers)}, secret)

    async def start(self, asked: JobAsked) -> str:
        answer = await self._calls.create(self._calls.url("/videos"), asked.id, data=self._form(_film(asked)))
        try:
            return DECODER.decode(answer.body).id
        except msgspec.DecodeError as exc:
            raise UncertainStart("the provider answered with what is no video") from exc

    async def find(self, asked: JobAsked) -> str | None:
        if not self._options.idempotency:
            return None
        try:
            return await self.start(asked)
        except UncertainStart:
            return None

    async def poll(self, asked: JobAsked, handle: str) -> State:
        answer = await self._calls.ask("GET", self._calls.url(f"/videos/{handle}"))
        if answer.status != 200:
            raise self._lost(answer) if answer.status == 404 else self._calls.refusal(answer)
        video: _Video = decoded(DECODER, self._model, answer)
        after_s = _seconds(answer.headers.get("openai-poll-after-ms"), 1000)
        if video.status in QUEUED:
            return Queued(after_s)
        if video.status in RUNNING:
            return Running(int(video.progress or 0), after_s)
        if video.status in DONE:
            files = (VIDEO, THUMBNAIL) if self._options.thumbnail else (VIDEO,)
            return Made(film_usage(self._unit, _film(asked), _seconds(video.seconds)), files)
        said = openai_errors.of_error(video.error).message
        shown = said.replace(self._secret, "[secret]") if self._secret else said
        return Failed(EngineFailed(shown[:1000] or f"The engine ended the video as '{video.status[:40]}'."))

    def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        return self.open_from(asked, handle, file, 0)

    def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        url = self._calls.url(f"/videos/{handle}/content", variant=file.ref)
        return self._calls.read(url, self._options.max_bytes, start_bytes)

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        answer = await self._calls.ask("DELETE", self._calls.url(f"/videos/{handle}"))
        if answer.status == 429 or answer.status >= 500:
            raise self._calls.refusal(answer)

    async def close(self) -> None:
        await self._calls.close()

    def _lost(self, answer: Answer) -> EngineFailed:
        return EngineFailed(f"The engine of model '{self._model}' knows this video no more. Nothing is charged.")

    def _form(self, film: Film) -> aiohttp.FormData:
        """As OpenAI's own client posts it; multipart also without a file: vLLM-Omni takes nothing else."""
        form = aiohttp.FormData(default_to_multipart=True)
        fields: dict[str, object] = {
            "model": self._upstream_name,
            "prompt": film.prompt,
            "size": film.size,
            "seconds": f"{film.seconds:g}",
            "fps": film.fps if self._options.send_fps else None,
            "negative_prompt": film.negative_prompt,
            "seed": film.seed,
            **self._options.fields,
        }
        for name, value in fields.items():
            if value is not None:
                form.add_field(name, str(value))
        if film.image is not None:
            ending = ENDINGS.get(film.image.media_type or "")
            if film.image.data is None or ending is None:
                raise InvalidRequest(
                    "This model takes a first image as PNG, JPEG or WebP data.", param="input_reference"
                )
            data = base64.b64decode(film.image.data)
            form.add_field("input_reference", data, filename=f"first.{ending}", content_type=film.image.media_type)
        return form


def _seconds(value: object, parts: int = 1) -> float | None:
    """A length as upstreams write it, in words or in figures; None where it is none."""
    try:
        seconds = float(str(value)) / parts
    except ValueError:
        return None
    return seconds if 0 < seconds < MOST_S else None


def _film(asked: JobAsked) -> Film:
    if not isinstance(asked.work, Film):
        raise InternalError("This model makes videos.")
    return asked.work
