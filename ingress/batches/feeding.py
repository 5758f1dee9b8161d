"""A batch's lines on their way into their models' batch lanes: as many at a time as its window holds."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from ipaddress import ip_address
from typing import Final

import msgspec
from starlette.datastructures import Headers

from ingress.batches.answers import Named, Row, line_job_id, refused
from ingress.batches.endpoints import BATCHED
from ingress.batches.reading import Asked, Line, lines_of, read_line
from ingress.batches.segments import KEPT_MS, Segments
from ingress.door import Door
from ingress.incoming import Incoming
from ingress.log_door.patience import until_done
from ingress.operations.operation import Told
from schemas.batches import PLACE_ENCODER, Batch, LineFault, Place, Standing
from schemas.errors import InvalidValue, PenstockError, UnsupportedParameter
from schemas.jobs import Job
from schemas.logged import BATCH_CHANNEL
from storage.batches import Batches, BatchName

STEP_LINES: Final = 64
STEP_BYTES: Final = 4 * 1024 * 1024
"""Lines that are read, checked and queued together, before it is noted how far the batch is."""

LOOK_S: Final = 0.3
"""How often it is seen whether the window has room."""

NO_HEADERS: Final = Headers(raw=[])


class Feeder:
    """One batch's, for one who holds it. A line that is fed twice is the same job: its id tells its place."""

    def __init__(self, door: Door, segments: Segments, window: int, batch: Batch, owner: str) -> None:
        self._door = door
        self._batches: Batches = door.batches
        self._segments = segments
        self._window = window
        self._batch = batch
        self._name = BatchName(batch.account, batch.id)
        self._owner = owner
        self._operation = BATCHED[batch.endpoint]
        self._address = None if batch.address is None else ip_address(batch.address)

    async def feed(self, standing: Standing) -> None:
        """Feeds what is left, up to the batch's end, its cancellation, or the loss of it.

        Raises FileNotFoundError, OSError or Undecidable; what was fed by then is noted.
        """
        longest_bytes = self._door.settings.max_body_bytes
        source, start, number = self._batch.input.key, standing.fed_bytes, standing.fed
        step: list[Line] = []
        async with aclosing(
            lines_of(self._door.objects, source, longest_bytes, start_bytes=start, number=number)
        ) as lines:
            async for line in lines:
                step.append(line)
                if len(step) >= STEP_LINES or sum(len(each.text) for each in step) >= STEP_BYTES:
                    if not await self._feed_step(step):
                        return
                    step = []
        if step:
            await self._feed_step(step)

    async def _feed_step(self, step: Sequence[Line]) -> bool:
        """False when there is nothing more to feed: the batch has changed, or is another's."""
        if not await self._room(len(step)):
            return False
        rows = await asyncio.gather(*[self._feed_line(line) for line in step])
        refusals = [row for row in rows if row is not None]
        if refusals:
            kept = asyncio.ensure_future(self._segments.keep(self._name, refusals, self._batch.expires_ms + KEPT_MS))
            self._segments.flush(self._name, self._batch.expires_ms + KEPT_MS)
            await kept
        fed, fed_bytes = step[-1].number + 1, step[-1].end_bytes
        return await self._batches.change(self._name, self._owner, "in_progress", fed=fed, fed_bytes=fed_bytes)

    async def _room(self, lines: int) -> bool:
        while True:
            standing = await self._batches.get(*self._name)
            if standing is None or standing.status != "in_progress":
                return False
            if standing.fed - standing.done + lines <= max(self._window, lines):
                return True
            self._segments.flush(self._name, self._batch.expires_ms + KEPT_MS)
            await asyncio.sleep(LOOK_S)

    async def _feed_line(self, line: Line) -> Row | None:
        """The row of a line that is refused; None when its job is queued, acknowledged by the log."""
        batch = self._batch
        job_id = line_job_id(batch.id, batch.created_ms, line.number)
        asked = read_line(batch, line)
        if isinstance(asked, LineFault):
            # Its input was read whole before: what lies there now is another.
            raise FileNotFoundError(f"request {line.number} of {batch.input.id} has changed")
        named = Named(batch.id, line.number, asked.custom_id, batch.lines)
        try:
            job = await self._job(named, asked, job_id)
            await until_done(lambda: self._door.submitter.queue(job, None))
        except PenstockError as error:
            return refused(named, job_id, batch.endpoint, error)
        return None

    async def _job(self, named: Named, asked: Asked, job_id: str) -> Job:
        batch, door = self._batch, self._door
        incoming = Incoming(batch.key, self._address, NO_HEADERS, asked.body)
        asking = await until_done(lambda: self._operation.ask(door, incoming))
        if asking.stream:
            raise UnsupportedParameter("'stream' cannot be true in a batch: an answer is whole.", param="stream")
        lane = asking.model.batch_lane
        if lane is None:
            raise InvalidValue(f"The model '{asking.model.id}' has no batches.", param="model")
        job = door.submitter.draft(
            batch.key, asking.model, asking.work, operation=self._operation.name, job_id=job_id, reply_to=BATCH_CHANNEL
        )
        place = Place(batch.id, named.line, named.custom_id, batch.endpoint, batch.lines, asking.state(Told.of(job)))
        return msgspec.structs.replace(
            job, lane=lane, deadline_ms=batch.expires_ms, context=PLACE_ENCODER.encode(place)
        )
