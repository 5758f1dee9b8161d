"""fal: applications behind a queue of their own.

Spoken as fal-client 1.0.3 speaks it: a job is submitted, its status asked for and its result fetched at URLs that the
queue gives. A job that failed is COMPLETED, with an error.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from ipaddress import ip_network
from typing import Any, Final

import msgspec
from yarl import URL

from schemas.addresses import Network
from schemas.catalog import Model
from schemas.errors import EngineFailed, InternalError, InvalidRequest
from schemas.media import Film, Invoke
from schemas.usage import Unit, Usage
from storage.async_record import Made, RemoteFile
from workers.engines import fal_errors, setup
from workers.engines.fal_files import LinkedFile, linked_files, with_placeholders
from workers.engines.film_units import film_usage
from workers.engines.job_calls import Answer, JobCalls, decoded
from workers.engines.upstream import checked_headers
from workers.fetch import Fetcher
from workers.job_engine import Failed, JobAsked, Queued, Running, State, UncertainStart

WEBHOOKS: Final = "/v1/webhooks/fal"
MOST_FILES: Final = 32
MOST_OUTPUT_BYTES: Final = 1024 * 1024
"""Of an application's answer, which rests in the job's record; files come as URLs beside it."""

TOO_LARGE: Final = (
    f"The engine's answer is larger than {MOST_OUTPUT_BYTES} bytes. "
    "Ask it for URLs of files, not for the files themselves."
)

FILM_FIELDS: Final = frozenset({"prompt", "negative_prompt", "seed", "seconds", "fps", "size", "width", "height"})


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of a fal row.

    `arguments` go with every request, beneath the caller's own. `names` says what an application for videos calls what
    a video is asked for; what has no name there is not sent. `webhooks` is this platform's own address, where fal is to
    call when a job is done; without it a job is only polled. `headers` are fal's own, as X-Fal-Queue-Priority.
    `file_networks` may hold files beside the public Internet, and `file_http` lets them be fetched without TLS.
    """

    arguments: dict[str, Any] = msgspec.field(default_factory=dict)
    names: dict[str, str] = msgspec.field(default_factory=lambda: {"prompt": "prompt"})
    webhooks: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    file_networks: tuple[str, ...] = ()
    file_http: bool = False
    max_bytes: int = 2 * 1024 * 1024 * 1024


class Handle(msgspec.Struct, frozen=True):
    """What the queue says of a job when it takes it."""

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


class _Status(msgspec.Struct):
    status: str
    error: Any = None
    error_type: Any = None


HANDLE: Final = msgspec.json.Decoder(Handle)
STATUS: Final = msgspec.json.Decoder(_Status)
RESULT: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder()
ENCODE: Final = msgspec.json.Encoder().encode


class Fal:
    """One row's application; a handle is the queue's own word on where the job is asked for."""

    def __init__(self, model: Model, secret: str | None) -> None:
        self._options = options = _options(model)
        self._model = model.id
        self._application = model.upstream_name.strip("/")
        self._unit: Unit = model.price.unit
        self._secret = secret
        self._copies = model.modality == "video" or (model.invoke is not None and model.invoke.results == "copy")
        self._most_bytes = model.invoke.max_bytes if model.invoke is not None else options.max_bytes
        key = {} if secret is None else {"Authorization": f"Key {secret}"}
        headers = {**key, "Content-Type": "application/json", **checked_headers(model, options.headers)}
        self._calls = JobCalls(model, headers, secret, fal_errors.of_body)
        self._origin = URL(str(model.base_url)).origin()
        self._fetcher = Fetcher(_networks(model, options.file_networks), http=options.file_http)

    async def start(self, asked: JobAsked) -> str:
        query = {"fal_webhook": self._webhook(asked)} if self._options.webhooks else {}
        url = self._calls.url(f"/{self._application}", **query)
        answer = await self._calls.create(url, asked.id, data=ENCODE(self._arguments(asked)))
        try:
            return self._checked(HANDLE.decode(answer.body))
        except msgspec.DecodeError as exc:
            raise UncertainStart("the queue answered with what is no job") from exc

    async def find(self, asked: JobAsked) -> str | None:
        """The queue knows jobs by its own ids only."""
        return None

    async def poll(self, asked: JobAsked, handle: str) -> State:
        at = HANDLE.decode(handle)
        answer = await self._calls.ask("GET", URL(at.status_url, encoded=True))
        if answer.status not in (200, 202):
            raise self._calls.refusal(answer)
        status: _Status = decoded(STATUS, self._model, answer)
        match status.status:
            case "IN_QUEUE":
                return Queued()
            case "IN_PROGRESS":
                return Running(0)
            case "COMPLETED" if status.error or status.error_type:
                return Failed(fal_errors.of_failure(self._model, status.error or status.error_type, self._secret))
            case "COMPLETED":
                return await self._made(asked, at)
            case _:
                return Failed(EngineFailed(f"The engine ended the job as '{status.status[:40]}'."))

    def open(self, asked: JobAsked, handle: str, file: RemoteFile) -> AsyncGenerator[bytes, None]:
        return self.open_from(asked, handle, file, 0)

    async def open_from(
        self, asked: JobAsked, handle: str, file: RemoteFile, start_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """A file lies where anybody may fetch it, so the secret does not go there."""
        try:
            async with aclosing(self._fetcher.read(file.ref, self._most_bytes, start_bytes)) as pieces:
                async for piece in pieces:
                    yield piece
        except InvalidRequest as refused:
            raise EngineFailed(f"A file that the engine made cannot be had: {refused.message}") from refused

    async def cancel(self, asked: JobAsked, handle: str) -> None:
        """A job that has ended, or that has begun and cannot be stopped, is refused with 400, which is well."""
        answer = await self._calls.ask("PUT", URL(HANDLE.decode(handle).cancel_url, encoded=True))
        if answer.status == 429 or answer.status >= 500:
            raise self._calls.refusal(answer)

    async def close(self) -> None:
        await self._calls.close()
        await self._fetcher.close()

    async def _made(self, asked: JobAsked, at: Handle) -> State:
        answer = await self._calls.ask("GET", URL(at.response_url, encoded=True))
        if answer.status != 200:
            return self._unmade(answer)
        if len(answer.body) > MOST_OUTPUT_BYTES:
            return Failed(EngineFailed(TOO_LARGE))
        output = decoded(RESULT, self._model, answer)
        if isinstance(asked.work, Film):
            return self._film(asked.work, output)
        usage = Usage(units=1) if self._unit == "request" else Usage()
        if not self._copies:
            return Made(usage, (), output)
        files = linked_files(output)
        if len(files) > MOST_FILES:
            return Failed(EngineFailed(f"The engine made {len(files)} files; {MOST_FILES} are the most."))
        return Made(usage, tuple(file.remote for file in files), with_placeholders(output, files))

    def _unmade(self, answer: Answer) -> State:
        """What an application refuses, or breaks at, only once it runs is its answer to the job."""
        if fal_errors.is_failure(answer.status, answer.headers, answer.body):
            said = fal_errors.of_body(answer.body).message
            return Failed(fal_errors.of_failure(self._model, said, self._secret))
        error = self._calls.refusal(answer)
        if error.retryable:
            raise error
        return Failed(error)

    def _film(self, film: Film, output: Any) -> State:
        files: list[LinkedFile] = linked_files(output)
        videos = [file for file in files if file.remote.content_type.startswith("video/")] or files
        if not videos:
            return Failed(EngineFailed("The engine says that it made a video, and names no file."))
        url = videos[0].remote.ref
        return Made(film_usage(self._unit, film), (RemoteFile("video.mp4", url, "video/mp4"),))

    def _arguments(self, asked: JobAsked) -> dict[str, Any]:
        work = asked.work
        if isinstance(work, Invoke):
            return {**self._options.arguments, **work.arguments}
        if not isinstance(work, Film):
            raise InternalError("This model makes videos, or is asked in its application's own words.")
        if work.image is not None:
            raise InvalidRequest("This model takes no first image.", param="input_reference")
        width, _, height = work.size.partition("x")
        values = {
            "prompt": work.prompt,
            "negative_prompt": work.negative_prompt,
            "seed": work.seed,
            "seconds": work.seconds,
            "fps": work.fps,
            "size": work.size,
            "width": int(width),
            "height": int(height),
        }
        named = {name: values[ours] for ours, name in self._options.names.items() if values.get(ours) is not None}
        return {**self._options.arguments, **named}

    def _webhook(self, asked: JobAsked) -> str:
        assert self._options.webhooks is not None
        return f"{self._options.webhooks.rstrip('/')}{WEBHOOKS}/{asked.account}/{asked.id}"

    def _checked(self, told: Handle) -> str:
        """The queue's URLs where they are its own, for the secret goes along; else where its client asks."""
        urls = (told.status_url, told.response_url, told.cancel_url)
        if not all(_origin(url) == self._origin for url in urls):
            owner, _, rest = self._application.partition("/")
            alias = rest.partition("/")[0]
            base = str(self._calls.url(f"/{owner}/{alias}/requests/{told.request_id}"))
            told = Handle(told.request_id, f"{base}/status", base, f"{base}/cancel")
        return ENCODE(told).decode()


def _options(model: Model) -> Options:
    options = setup.options(model, Options)
    if unknown := sorted(options.names.keys() - FILM_FIELDS):
        known = ", ".join(sorted(FILM_FIELDS))
        raise setup.SetupError(f"model '{model.id}': engine_options.names: '{unknown[0]}' is none of {known}")
    return options


def _origin(url: str) -> URL | None:
    try:
        return URL(url).origin()
    except ValueError:
        return None


def _networks(model: Model, given: tuple[str, ...]) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(each) for each in given)
    except ValueError as exc:
        raise setup.SetupError(f"model '{model.id}': engine_options.file_networks: {exc}") from exc
