"""An async job as its record tells it: what was accepted, how far it is, how it ended."""

from typing import Any, Final, Literal, NamedTuple

import msgspec

from schemas.errors import ErrorData
from schemas.jobs import DECODER as JOB_DECODER
from schemas.jobs import Job, Stored
from schemas.media import Film, Invoke
from schemas.usage import End, Price, Usage
from storage.limits import Scope
from storage.objects import InParts

Status = Literal["queued", "in_progress", "completed", "failed", "cancelled", "expired"]
Step = Literal["start", "poll", "store"]


class JobName(NamedTuple):
    """An async job and whose it is."""

    account: str
    id: str

    @property
    def member(self) -> str:
        """As it stands in lists and messages."""
        return f"{self.account}:{self.id}"

    @classmethod
    def of(cls, member: str) -> "JobName":
        account, _, job_id = member.rpartition(":")
        return cls(account, job_id)


class JobFile(msgspec.Struct, frozen=True):
    """A file that a job made, in object storage at `key`; `name` is what callers call it, as in `video.mp4`."""

    name: str
    key: str
    size_bytes: int
    content_type: str


class Terms(msgspec.Struct, frozen=True):
    """What whoever ends a job needs of how it was accepted; travels as the context of its envelope.

    `scopes` and `reserved_tokens` are what its limits hold. `keep_s` is how long its files stay after completion.
    `context` is its door's own; `ticket` is what the log's door needs to answer it, where it came from there.
    """

    scopes: tuple[Scope, ...]
    reserved_tokens: int
    keep_s: float
    callback_url: str | None = None
    context: bytes = b""
    ticket: bytes = b""


class RemoteFile(msgspec.Struct, frozen=True):
    """A file as its engine offers it; `ref` is the engine's own word for where it is."""

    name: str
    ref: str
    content_type: str


class Made(msgspec.Struct, frozen=True):
    """What an engine says that it has made."""

    usage: Usage
    files: tuple[RemoteFile, ...] = ()
    output: Any = None


class Progress(msgspec.Struct, frozen=True):
    """How far a job is. `percent` is the engine's own word.

    `creating` is set before the engine is asked for the job, and `handle` once it has answered, so that who finds
    only the first knows that the engine may have the job. `tries` counts failures in a row of the step it is at,
    `polls` the looks so far. `made` is there once the engine is done and `stored` has what of it was stored already;
    `parts` is how far the file after that is, which its engine may give `only_whole`.
    """

    started_at_ms: int | None = None
    percent: int = 0
    creating: bool = False
    handle: str | None = None
    tries: int = 0
    polls: int = 0
    made: Made | None = None
    stored: tuple[JobFile, ...] = ()
    parts: InParts | None = None
    only_whole: bool = False


class Ending(msgspec.Struct, frozen=True):
    """A job's one end; `expires_at_ms` is when its files go."""

    end: End
    ended_at_ms: int
    usage: Usage = Usage()
    error: ErrorData | None = None
    files: tuple[JobFile, ...] = ()
    output: Any = None
    expires_at_ms: int | None = None


class AsyncJob(msgspec.Struct, frozen=True):
    """One async job as its account may read it.

    `work` too large for a record is a claim check, so a door keeps in `context` what it shows. Status `expired` is a
    completed job whose files are gone; one that met its deadline has failed.
    """

    id: str
    account: str
    key_id: str
    model: str
    operation: str
    lane: str
    price: Price
    work: Film | Invoke | Stored
    accepted_at_ms: int
    deadline_ms: int
    keep_s: float
    scopes: tuple[Scope, ...]
    reserved_tokens: int
    status: Status
    callback_url: str | None = None
    context: bytes = b""
    ticket: bytes = b""
    progress: int = 0
    started_at_ms: int | None = None
    handle: str | None = None
    at: Progress = Progress()
    ending: Ending | None = None

    @property
    def name(self) -> JobName:
        return JobName(self.account, self.id)

    @property
    def ended_at_ms(self) -> int | None:
        return self.ending.ended_at_ms if self.ending else None

    @property
    def expires_at_ms(self) -> int | None:
        return self.ending.expires_at_ms if self.ending else None

    @property
    def files(self) -> tuple[JobFile, ...]:
        """What callers may still fetch."""
        return self.ending.files if self.ending and self.status == "completed" else ()

    @property
    def output(self) -> Any:
        return self.ending.output if self.ending else None

    @property
    def error(self) -> ErrorData | None:
        return self.ending.error if self.ending else None

    @property
    def usage(self) -> Usage:
        return self.ending.usage if self.ending else Usage()


TERMS_ENCODER: Final = msgspec.msgpack.Encoder()
TERMS_DECODER: Final = msgspec.msgpack.Decoder(Terms)
PROGRESS_ENCODER: Final = msgspec.msgpack.Encoder()
PROGRESS_DECODER: Final = msgspec.msgpack.Decoder(Progress)
ENDING_ENCODER: Final = msgspec.msgpack.Encoder()
ENDING_DECODER: Final = msgspec.msgpack.Decoder(Ending)


def read_record(job: bytes, progress: bytes | None, ending: bytes | None, now_ms: int) -> AsyncJob:
    """The job whose encoded parts these are, as it stands at `now_ms`."""
    return as_it_stands(
        JOB_DECODER.decode(job),
        PROGRESS_DECODER.decode(progress) if progress else Progress(),
        ENDING_DECODER.decode(ending) if ending else None,
        now_ms,
    )


def as_it_stands(job: Job, at: Progress, ending: Ending | None, now_ms: int) -> AsyncJob:
    terms = TERMS_DECODER.decode(job.context)
    assert isinstance(job.work, Film | Invoke | Stored), job.id
    status = status_of(at, ending, now_ms)
    return AsyncJob(
        id=job.id,
        account=job.account,
        key_id=job.key_id,
        model=job.model,
        operation=job.operation,
        lane=job.lane,
        price=job.price,
        work=job.work,
        accepted_at_ms=job.accepted_at_ms,
        deadline_ms=job.deadline_ms,
        keep_s=terms.keep_s,
        scopes=terms.scopes,
        reserved_tokens=terms.reserved_tokens,
        status=status,
        callback_url=terms.callback_url,
        context=terms.context,
        ticket=terms.ticket,
        progress=100 if status in ("completed", "expired") else min(99, at.percent),
        started_at_ms=at.started_at_ms,
        handle=at.handle,
        at=at,
        ending=ending,
    )


def status_of(at: Progress, ending: Ending | None, now_ms: int) -> Status:
    if ending is None:
        return "queued" if at.started_at_ms is None else "in_progress"
    if ending.end == "completed":
        gone = ending.expires_at_ms is not None and ending.expires_at_ms <= now_ms
        return "expired" if gone else "completed"
    return "failed" if ending.end == "expired" else ending.end
