"""Files that callers keep here, and batches: many requests in one file, answered within a day in another."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from schemas.access import AccessKey

Purpose = Literal["batch", "batch_output"]
Status = Literal["validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"]
ENDED: Final[frozenset[Status]] = frozenset({"failed", "completed", "expired", "cancelled"})

Family = Literal["openai", "digitalocean"]
"""Whose words a batch was asked for in, and is shown in first."""

LineShape = Literal["openai", "anthropic"]
"""How a line says what is asked: with a method and a URL, or, Anthropic's, with `params` alone."""

MOST_LINES: Final = 50_000
MOST_FILE_BYTES: Final = 200 * 1024 * 1024


class File(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file, which does not change any more; `key` is where its bytes lie, `batch` whose output it is."""

    id: str
    account: str
    name: str
    purpose: Purpose
    key: str
    size_bytes: int
    created_ms: int
    expires_ms: int | None = None
    batch: str | None = None


class Upload(msgspec.Struct, frozen=True):
    """A file that is announced: its bytes may be put by whoever has its URL."""

    id: str
    account: str
    name: str
    created_ms: int
    until_ms: int
    keep_ms: int


class LineFault(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wrong with an input file or its batch; `line` counts all lines of the file from 1, as editors do."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch as it was asked for. `address` is where it was asked from, which its key may be bound to."""

    id: str
    account: str
    key: AccessKey
    address: str | None
    family: Family
    lines: LineShape
    endpoint: str
    input: File
    created_ms: int
    expires_ms: int
    output_keep_ms: int
    metadata: Mapping[str, str] | None = None
    request_id: str | None = None


class Standing(msgspec.Struct, frozen=True):
    """How far a batch is. `total` is None until its input has been read.

    Lines below `fed` were queued, or refused, by the `fed_bytes` first bytes of the input; `completed` and `failed`
    are the lines that have their row. `then` is what a batch that is finalizing comes to, or one that is cancelling and
    was not cancelled by its caller.
    """

    batch: Batch
    status: Status
    total: int | None = None
    fed: int = 0
    fed_bytes: int = 0
    completed: int = 0
    failed: int = 0
    faults: tuple[LineFault, ...] = ()
    in_progress_ms: int | None = None
    finalizing_ms: int | None = None
    cancelling_ms: int | None = None
    ended_ms: int | None = None
    output_file: str | None = None
    error_file: str | None = None
    then: Status | None = None

    @property
    def done(self) -> int:
        return self.completed + self.failed

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED


class Place(msgspec.Struct, frozen=True, array_like=True):
    """What a line leaves with its job: where its row belongs, and what its answer needs. `line` counts from 0."""

    batch: str
    line: int
    custom_id: str
    operation: str
    shape: LineShape
    state: bytes


PLACE_ENCODER: Final = msgspec.msgpack.Encoder()
PLACE_DECODER: Final = msgspec.msgpack.Decoder(Place)
