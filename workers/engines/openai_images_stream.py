"""An event stream of images as an incremental fold from bytes to drafts and pictures."""

from typing import Any, Final

import msgspec

from schemas.chunks import UsageReport
from schemas.errors import EngineFailed
from schemas.images import HEAD_BYTES, image_type
from schemas.usage import Usage
from workers.engine import Drawn
from workers.engines import openai_errors
from workers.engines.event_stream import EventStream
from workers.engines.openai_images_usage import ImagesUsage
from workers.engines.sse import EventData

PARTIAL: Final = "image_generation.partial_image"
COMPLETED: Final = "image_generation.completed"

MOST_EVENT_BYTES: Final = 48 * 1024 * 1024
"""One event carries a whole picture, in base64."""


class _Event(msgspec.Struct):
    """`image_index` is another Penstock's: OpenAI does not say which of several pictures an event is about."""

    type: str | None = None
    b64_json: bytes | None = None
    partial_image_index: int = 0
    image_index: int | None = None
    usage: ImagesUsage | None = None
    error: Any = None


_EVENT: Final = msgspec.json.Decoder(_Event)


class ImagesStream(EventStream[Drawn | UsageReport]):
    """Folds one response; `finished` once every picture is there, `done` once nothing more will come.

    Pictures that have no number are numbered as they are completed, and a draft belongs to the next one. The counts of
    a response's pictures are added up.
    """

    __slots__ = ("_completed", "_counted", "_images")

    def __init__(self, model: str, images: int, secret: str | None = None) -> None:
        super().__init__(model, secret)
        self._events = EventData(MOST_EVENT_BYTES)
        self._images = images
        self._completed: set[int] = set()
        self._counted = Usage()

    def _fold(self, events: list[bytes]) -> list[Drawn | UsageReport]:
        deltas: list[Drawn | UsageReport] = []
        for event in events:
            if not self.heard:
                # A job that ends among its drafts has used no picture.
                self.heard = True
                deltas.append(UsageReport(self._counted))
            if event == b"[DONE]":
                self._stop()
                break
            try:
                value = _EVENT.decode(event)
            except msgspec.DecodeError as exc:
                self._fail("sent what is no event of images", exc)
                break
            if value.error or value.type == "error":
                refusal = openai_errors.of_error(value.error or msgspec.json.decode(event))
                status = openai_errors.status_of(refusal)
                self.failure = openai_errors.to_error(self._model, status, refusal, secret=self._secret)
                break
            if value.type in (PARTIAL, COMPLETED):
                deltas += self._drawn(value)
            if self.failure is not None:
                break
        return deltas

    def _drawn(self, event: _Event) -> list[Drawn | UsageReport]:
        data = event.b64_json or b""
        content_type = image_type(data[:HEAD_BYTES])
        number = len(self._completed) if event.image_index is None else event.image_index
        if content_type is None:
            self._fail("sent what is no picture")
            return []
        if not 0 <= number < self._images or number in self._completed:
            self._fail("sent more pictures than were asked for")
            return []
        if event.type == PARTIAL:
            return [Drawn(number, data, content_type, max(0, event.partial_image_index))]
        self._completed.add(number)
        self.finished = len(self._completed) == self._images
        told = event.usage.canonical(1) if event.usage is not None else Usage(units=1)
        self._counted = Usage(
            input_tokens=self._counted.input_tokens + told.input_tokens,
            output_tokens=self._counted.output_tokens + told.output_tokens,
            units=self._counted.units + told.units,
        )
        return [UsageReport(self._counted), Drawn(number, data, content_type)]

    def _fail(self, what: str, cause: Exception | None = None) -> None:
        self.failure = EngineFailed(f"The engine of model '{self._model}' {what}.")
        self.failure.__cause__ = cause
