"""OpenAI's images: the request as work, and pictures as its answer, whole or as a stream of events."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Final

import msgspec

from ingress.errors import openai_error_frame
from ingress.images_contract import AUTO, UNCOMPRESSED, format_of, quality_of
from ingress.translate.validation import read
from schemas.chunks import Chunk, Ended
from schemas.errors import EngineFailed, ErrorData, InternalError
from schemas.media import Draw
from schemas.media_chunks import Picture
from schemas.media_rows import ImageRow
from schemas.usage import Usage
from schemas.wire.openai_images import ImageRequest, Shown

ENCODE: Final = msgspec.json.Encoder().encode


class Head(msgspec.Struct, frozen=True, array_like=True):
    """What was asked for, as far as the answer shows it; None where it was left to the model."""

    images: int
    size: str
    quality: str | None
    background: str | None
    shown: Shown


def parse(body: bytes) -> ImageRequest:
    """The request in a body. Raises InvalidRequest and its branches, naming the parameter and what to change."""
    return read(ImageRequest, body)


def to_draw(request: ImageRequest, row: ImageRow) -> Draw:
    return Draw(
        prompt=request.prompt,
        size=_chosen(request.size) or row.sizes[0],
        images=request.n or 1,
        quality=quality_of(row, request),
        background=_chosen(request.background),
        moderation=_chosen(request.moderation),
        output_format=format_of(row, request),
        output_compression=None if request.output_compression == UNCOMPRESSED else request.output_compression,
        partial_images=request.partial_images or 0,
        user=request.user,
    )


def head_of(work: Draw, shown: Shown | None) -> Head:
    return Head(work.images, work.size, work.quality, work.background, shown or "b64_json")


class ImagesFold:
    """Gathers a job's pictures; `shown` has, by a picture's key, what stands for it in the answer.

    After the end, either `error` says why there are none or `reply` gives them.
    """

    def __init__(self, head: Head, created: int, shown: Mapping[str, msgspec.Raw]) -> None:
        self._head = head
        self._created = created
        self._shown = shown
        self._pictures: dict[int, Picture] = {}
        self._usage = Usage()
        self.error: ErrorData | None = None

    def add(self, chunks: Sequence[Chunk]) -> None:
        self._pictures.update(_whole(chunks))
        if chunks and isinstance(ended := chunks[-1], Ended):
            self._usage = ended.usage
            self.error = _images_error(ended, self._pictures, self._head)

    def reply(self) -> bytes:
        """The body of the whole answer, its pictures by their numbers."""
        pictures = [self._pictures[number] for number in range(self._head.images)]
        return ENCODE(
            {
                "created": self._created,
                "data": [self._image(each) for each in pictures],
                "background": self._head.background,
                "output_format": _format(pictures[0]),
                "quality": self._head.quality,
                "size": self._head.size,
                "usage": _usage_body(self._usage),
            }
        )

    def _image(self, picture: Picture) -> dict[str, Any]:
        revised = {} if picture.revised_prompt is None else {"revised_prompt": picture.revised_prompt}
        return {self._head.shown: self._shown[picture.key], **revised}


class ImagesWriter:
    """Writes a job's drafts and pictures as events; `shown` is emptied of what is written.

    The last picture is held back until the job has ended: it carries the usage, and a job that failed ends with an
    error frame and nothing that looks like an end.
    """

    def __init__(self, head: Head, shown: MutableMapping[str, msgspec.Raw], now: Callable[[], float]) -> None:
        self._head = head
        self._shown = shown
        self._now = now
        self._seen: dict[int, Picture] = {}
        self._held: Picture | None = None

    def write(self, chunks: Sequence[Chunk]) -> bytes:
        """The events of all that is given, in its order; complete after every call."""
        events: list[bytes] = []
        for chunk in chunks:
            match chunk:
                case Picture(partial=int(number)):
                    events.append(self._event("partial_image", chunk, {"partial_image_index": number}))
                case Picture():
                    if self._held is not None:
                        events.append(self._completed(self._held, Usage()))
                    self._seen[chunk.image] = self._held = chunk
                case Ended():
                    events.append(self._end(chunk))
        return b"".join(events)

    def _end(self, ended: Ended) -> bytes:
        error = _images_error(ended, self._seen, self._head)
        if error is not None or self._held is None:
            return openai_error_frame(error or EngineFailed("The engine gave no picture.").data())
        return self._completed(self._held, ended.usage)

    def _completed(self, picture: Picture, usage: Usage) -> bytes:
        return self._event("completed", picture, {"usage": _usage_body(usage)})

    def _event(self, name: str, picture: Picture, more: Mapping[str, Any]) -> bytes:
        kind = f"image_generation.{name}"
        body = {
            "type": kind,
            "b64_json": self._shown.pop(picture.key),
            "created_at": int(self._now()),
            "size": self._head.size,
            "quality": self._head.quality or AUTO,
            "background": self._head.background or AUTO,
            "output_format": _format(picture),
            "image_index": picture.image,
            **more,
        }
        return b"event: " + kind.encode() + b"\ndata: " + ENCODE(body) + b"\n\n"


def _chosen(value: str | None) -> str | None:
    return None if value == AUTO else value


def _whole(chunks: Sequence[Chunk]) -> dict[int, Picture]:
    return {chunk.image: chunk for chunk in chunks if isinstance(chunk, Picture) and chunk.partial is None}


def _images_error(ended: Ended, pictures: Mapping[int, Picture], head: Head) -> ErrorData | None:
    """Why a job's end is not the end of all its pictures; None when it is."""
    if ended.error is not None:
        return ended.error
    if ended.end != "completed":
        return InternalError(f"The job ended as {ended.end} without a reason.").data()
    if sorted(pictures) != list(range(head.images)):
        return EngineFailed("The engine did not give every picture that was asked for.").data()
    return None


def _format(picture: Picture) -> str:
    return picture.content_type.rpartition("/")[2]


def _usage_body(usage: Usage) -> dict[str, Any]:
    """OpenAI's fields, and what most models that draw are sold by. What is read here is text alone."""
    return {
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "input_tokens_details": {"text_tokens": usage.input_tokens, "image_tokens": 0},
        "images": usage.units,
    }
