"""One reply of a line, folded into its operation's own words, as a row of its batch."""

import logging
from collections.abc import Sequence

import msgspec

from ingress.answer import fetched
from ingress.batches.answers import Named, Row, answered, refused, stopped
from ingress.batches.endpoints import BATCHED
from ingress.batches.segments import KEPT_MS, Segments
from ingress.door import Door
from ingress.log_door.patience import until_done
from ingress.operations.operation import Told
from schemas.batches import PLACE_DECODER, Place
from schemas.chunks import Chunk, Ended
from schemas.errors import InternalError
from schemas.jobs import Stored
from schemas.logged import DECODER, Accepted
from schemas.usage import Usage
from storage.batches import BatchName
from storage.lane_consumer import Taken
from storage.log_replies import chunks_of

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError, KeyError)
CODES = {"expired": "batch_expired", "cancelled": "batch_cancelled"}

log = logging.getLogger(__name__)


class Gatherer:
    """Its `gather` returns when the row rests in object storage and is counted: then the reply need not come again.

    Any process may be told of any batch's lines, whoever runs the batch.
    """

    def __init__(self, door: Door, segments: Segments) -> None:
        self._door = door
        self._segments = segments

    async def gather(self, taken: Taken) -> None:
        try:
            reply = DECODER.decode(taken.value)
            place = PLACE_DECODER.decode(reply.job.context)
        except UNREADABLE:
            # Its line has no answer then, and says so when its batch's time is over.
            log.exception("batch_reply_unreadable", extra={"offset": taken.offset})
            return
        accepted = reply.job
        try:
            chunks = await until_done(lambda: chunks_of(reply, self._door.objects))
        except (FileNotFoundError, *UNREADABLE):
            log.exception("batch_reply_not_found", extra={"job_id": accepted.job_id})
            lost = InternalError("The answer was lost on its way.")
            chunks = [Ended("failed", Usage(), lost.data())]
        row = await self._row(accepted, place, chunks)
        name = BatchName(accepted.account, place.batch)
        await self._segments.keep(name, [row], accepted.deadline_ms + KEPT_MS)
        if isinstance(reply.chunks, Stored):
            await self._discard(reply.chunks.key)

    async def _row(self, accepted: Accepted, place: Place, chunks: Sequence[Chunk]) -> Row:
        named = Named(place.batch, place.line, place.custom_id, place.shape)
        end = chunks[-1]
        assert isinstance(end, Ended), accepted.job_id
        if end.end in CODES:
            return stopped(named, CODES[end.end])
        if end.error is not None:
            return refused(named, accepted.job_id, place.operation, end.error)
        told = Told(accepted.job_id, accepted.account, accepted.model, accepted.accepted_at_ms, place.state)
        try:
            folding = BATCHED[place.operation].fold(self._door, told)
            folding.fold.add(await fetched(folding.fetch, chunks))
            if folding.fold.error is not None:
                return refused(named, accepted.job_id, place.operation, folding.fold.error)
            body = folding.fold.reply()
        except Exception:
            # One answer that cannot be put together must not keep the others from their files.
            log.exception("batch_answer_not_folded", extra={"job_id": accepted.job_id})
            broken = InternalError("The platform failed to put this answer together.")
            return refused(named, accepted.job_id, place.operation, broken)
        if folding.keep is not None:
            await folding.keep()
        return answered(named, accepted.job_id, body)

    async def _discard(self, key: str) -> None:
        try:
            await self._door.objects.delete(key)
        except OSError as failure:
            log.warning("object_not_deleted", extra={"key": key, "reason": str(failure)})
