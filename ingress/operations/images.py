"""`/v1/images/generations`, between its bodies and its jobs."""

from dataclasses import dataclass
from typing import Final

import msgspec

from ingress.door import Door
from ingress.images_contract import ENDPOINT, check_image
from ingress.incoming import Incoming
from ingress.operations.operation import Folding, Operation, Told
from ingress.pictures import Pictures
from ingress.translate.openai_images import Head, ImagesFold, head_of, parse, to_draw
from schemas.catalog import Model
from schemas.media import Draw

NAME: Final = "images"

ENCODER: Final = msgspec.msgpack.Encoder()
DECODER: Final = msgspec.msgpack.Decoder(Head)


@dataclass(frozen=True, slots=True)
class ImagesAsked:
    model: Model
    work: Draw
    stream: bool
    head: Head

    @property
    def tokens(self) -> int:
        """None: what is drawn is counted in pictures."""
        return 0

    def state(self, _: Told) -> bytes:
        return ENCODER.encode(self.head)


async def ask(door: Door, asked: Incoming) -> ImagesAsked:
    request = parse(asked.body)
    model = door.catalog.serving(request.model, ENDPOINT)
    asked.authorize(model)
    work = to_draw(request, check_image(model, request))
    return ImagesAsked(model, work, bool(request.stream), head_of(work, request.response_format))


def pictures(door: Door, head: Head) -> Pictures:
    return Pictures(door.objects, door.expiring, head.shown, door.settings.picture_url_s)


def fold(door: Door, told: Told) -> Folding:
    head = DECODER.decode(told.state)
    found = pictures(door, head)
    return Folding(ImagesFold(head, told.created, found.shown), fetch=found.fetch)


IMAGES: Final = Operation(ENDPOINT, NAME, ask, fold)
