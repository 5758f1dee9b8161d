"""A batch's last steps: rows for the lines that came to no end, the files, and the end itself."""

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from ingress import metrics
from ingress.batches.answers import Named, Row, stopped
from ingress.batches.reading import LineTooLong, lines_of, read_line
from ingress.batches.segments import KEPT_MS, Segments, rows_of
from ingress.door import Door
from ingress.keeping import JSON_LINES
from schemas.batches import File, LineFault, Standing, Status
from storage.batches import BatchName, is_set
from storage.files import object_key

CHUNK_ROWS: Final = 256

log = logging.getLogger(__name__)


async def give_up_lines(door: Door, segments: Segments, standing: Standing, code: str) -> None:
    """Gives every line that has no row yet one that says why. Raises OSError where the input is not to be had."""
    batch = standing.batch
    name, until_ms = BatchName(batch.account, batch.id), batch.expires_ms + KEPT_MS
    done = await door.batches.rows(name)
    rows: list[Row] = []
    try:
        async with aclosing(lines_of(door.objects, batch.input.key, door.settings.max_body_bytes)) as lines:
            async for line in lines:
                asked = None if is_set(done, line.number) else read_line(batch, line)
                if asked is None or isinstance(asked, LineFault):
                    continue
                rows.append(stopped(Named(batch.id, line.number, asked.custom_id, batch.lines), code))
                if len(rows) >= CHUNK_ROWS:
                    await segments.keep(name, rows, until_ms)
                    rows = []
    except (FileNotFoundError, LineTooLong):
        log.warning("batch_input_gone", extra={"batch_id": batch.id})
    if rows:
        await segments.keep(name, rows, until_ms)


async def finish(door: Door, standing: Standing, owner: str) -> None:
    """Makes the files of a batch all whose lines have their rows, and ends it.

    Done twice, it makes the same files. Raises OSError or Undecidable.
    """
    batch, now_ms = standing.batch, time.time_ns() // 1_000_000
    name = BatchName(batch.account, batch.id)
    then: Status = standing.then or "cancelled"
    fields: dict[str, int | str] = {"ended_ms": now_ms}
    segments = await door.batches.segments(name)
    if standing.completed:
        fields["output_file"] = await _make(door, standing, segments, "output", now_ms)
    if standing.failed:
        fields["error_file"] = await _make(door, standing, segments, "error", now_ms)
    if await door.batches.end(name, owner, then, fields):
        metrics.BATCHES.labels(then).inc()
        counts = {"total": standing.total, "completed": standing.completed, "failed": standing.failed}
        log.info("batch_ended", extra={"batch_id": batch.id, "account": batch.account, "end": then, **counts})
    try:
        await door.objects.delete_group(name.objects)
    except OSError as failure:
        # Each is on the list of what is due besides.
        log.warning("batch_segments_left", extra={"batch_id": batch.id, "reason": str(failure)})


async def _make(door: Door, standing: Standing, segments: Sequence[str], kind: str, now_ms: int) -> str:
    """The id of a file of this batch, which is the same however often it is made."""
    batch = standing.batch
    digest = hashlib.sha256(f"{batch.id}/{kind}".encode()).hexdigest()
    file_id = f"file-{batch.created_ms:012x}{digest[:20]}"
    key, until_ms = object_key(batch.account, file_id), now_ms + batch.output_keep_ms
    rows = rows_of(door.objects, segments, failed=kind == "error")
    size_bytes = await door.expiring.put_stream(key, rows, until_ms, content_type=JSON_LINES)
    file = File(
        id=file_id,
        account=batch.account,
        name=f"{batch.id}_{kind}.jsonl",
        purpose="batch_output",
        key=key,
        size_bytes=size_bytes,
        created_ms=now_ms,
        expires_ms=until_ms,
        batch=batch.id,
    )
    await door.files.create(file)
    return file_id
