"""Any upstream that speaks OpenAI's images: OpenAI, vLLM-Omni, another Penstock."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

import msgspec

from schemas.catalog import Model
from schemas.chunks import UsageReport
from schemas.errors import EngineFailed, PenstockError
from schemas.images import HEAD_BYTES, image_type
from schemas.media import Draw
from schemas.usage import Usage
from workers.engine import Drawn, DrawnElsewhere
from workers.engines import openai_errors, setup
from workers.engines.openai_images_stream import ImagesStream
from workers.engines.openai_images_usage import ImagesUsage
from workers.engines.upstream import Upstream, checked_headers
from workers.pictures import MOST_PICTURE_BYTES

ENCODE: Final = msgspec.json.Encoder().encode

HEAD_OF_ANSWER_BYTES: Final = 64 * 1024
"""What stands around the pictures, their revised prompts included."""

Given = Drawn | DrawnElsewhere | UsageReport


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`engine_options` of an openai_compatible row of the modality image.

    `response_format` is how pictures are asked for; null leaves that field out, as OpenAI's own newer models want it
    (gpt-image-1, 2026-11), which give base64 only.
    """

    response_format: str | None = "b64_json"
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    body: dict[str, Any] = msgspec.field(default_factory=dict)


class _Image(msgspec.Struct):
    """msgspec reads a string as base64 into bytes."""

    b64_json: bytes | None = None
    url: str | None = None
    revised_prompt: str | None = None


class _Answer(msgspec.Struct):
    data: list[_Image]
    usage: ImagesUsage | None = None


ANSWER: Final = msgspec.json.Decoder(_Answer)


class OpenAIImages:
    """One row's upstream. It is asked for a stream where drafts are wanted, and for a whole answer otherwise."""

    def __init__(self, model: Model, secret: str | None) -> None:
        options = setup.options(model, Options)
        self._model = model.id
        self._secret = secret
        shown = {} if options.response_format is None else {"response_format": options.response_format}
        self._fields = {"model": model.upstream_name, **shown, **options.body}
        bearer = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        headers = {**bearer, **checked_headers(model, options.headers)}
        self._upstream = Upstream(model, "/images/generations", headers, self._refused)

    def generate(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Given], None]:
        return self._streamed(job_id, asked) if asked.partial_images else self._whole(job_id, asked)

    async def close(self) -> None:
        await self._upstream.close()

    async def _whole(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Given], None]:
        most_bytes = HEAD_OF_ANSWER_BYTES + asked.images * MOST_PICTURE_BYTES * 4 // 3
        body = await self._upstream.answer(ENCODE(self._body(asked)), {"X-Request-ID": job_id}, most_bytes=most_bytes)
        yield self._read(body, asked.images)

    async def _streamed(self, job_id: str, asked: Draw) -> AsyncGenerator[Sequence[Given], None]:
        body = {**self._body(asked), "stream": True, "partial_images": asked.partial_images}
        # A stream's events carry base64 and nothing else.
        body.pop("response_format", None)
        fold = ImagesStream(self._model, asked.images, self._secret)
        async for batch in self._upstream.stream(job_id, ENCODE(body), fold):
            yield batch

    def _body(self, asked: Draw) -> dict[str, Any]:
        """What asks for nothing is left out: upstreams differ in what they know."""
        given = {
            "quality": asked.quality,
            "background": asked.background,
            "moderation": asked.moderation,
            "output_format": None if asked.output_format == "png" else asked.output_format,
            "output_compression": asked.output_compression,
            "user": asked.user,
        }
        known = {name: value for name, value in given.items() if value is not None}
        return {**self._fields, "prompt": asked.prompt, "n": asked.images, "size": asked.size, **known}

    def _read(self, body: bytes, images: int) -> list[Given]:
        """Every picture, or where it lies, and the count. Raises EngineFailed where one is missing."""
        try:
            answer = ANSWER.decode(body)
        except msgspec.DecodeError as exc:
            raise self._no_answer("what are no pictures") from exc
        if len(answer.data) != images:
            raise self._no_answer(f"{len(answer.data)} pictures where {images} were asked for")
        usage = answer.usage.canonical(images) if answer.usage is not None else Usage(units=images)
        return [*(self._picture(number, each) for number, each in enumerate(answer.data)), UsageReport(usage)]

    def _picture(self, number: int, image: _Image) -> Drawn | DrawnElsewhere:
        if image.b64_json is None:
            if not image.url:
                raise self._no_answer("a picture that is nowhere")
            return DrawnElsewhere(number, image.url, image.revised_prompt)
        content_type = image_type(image.b64_json[:HEAD_BYTES])
        if content_type is None:
            raise self._no_answer("what is no picture")
        return Drawn(number, image.b64_json, content_type, revised_prompt=image.revised_prompt)

    def _no_answer(self, what: str) -> EngineFailed:
        return EngineFailed(f"The engine of model '{self._model}' answered with {what}.")

    def _refused(self, status: int, body: bytes, retry_after_s: float | None) -> PenstockError:
        return openai_errors.to_error(
            self._model, status, openai_errors.of_body(body), secret=self._secret, retry_after_s=retry_after_s
        )
