"""What producers send through the log, and what they are sent back."""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from schemas.modalities import Endpoint

NO_BODY: Final = msgspec.Raw(b"null")

Asked = Literal[Endpoint, "/v1/video/generations", "/v1/batches", "/v1/batches/files"]
"""What can be submitted: whatever HTTP takes as one body of JSON to make something of."""


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request. Its access key travels in the message's headers, `authorization` or `x-api-key`."""

    operation: Annotated[Asked, Meta(description="What is asked, by its path over HTTP.")]
    body: Annotated[msgspec.Raw, Meta(description="The request's body, as HTTP has it; it cannot ask to be streamed.")]
    correlation_id: Annotated[
        Annotated[str, Meta(max_length=512)] | None, Meta(description="Comes back with the result.")
    ] = None
    idempotency_key: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | None,
        Meta(description="Of all submissions of an account with the same key, within a day, only the first one runs."),
    ] = None


class ResultError(msgspec.Struct, frozen=True):
    """Why there is no answer, in the same words for every operation."""

    code: Annotated[str, Meta(description="Stable; docs/errors.md has them all.")]
    message: str
    param: str | None
    retryable: Annotated[bool, Meta(description="Whether the same submission may succeed later.")]
    retry_after_s: float | None


class ResultUsage(msgspec.Struct, frozen=True):
    """What is charged for: `units` are images, characters or what else the model is sold by."""

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    reasoning_tokens: int
    units: int


class SubmissionPlace(msgspec.Struct, frozen=True):
    topic: str
    partition: int
    offset: int


class Result(msgspec.Struct, frozen=True):
    """What became of one submission; it may come more than once, and is the same for the same `id`."""

    id: Annotated[str, Meta(description="The job's, and the same however often a submission is delivered.")]
    status: Annotated[int, Meta(description="What HTTP would have answered with: 200, 201, or an error's status.")]
    submission: Annotated[SubmissionPlace, Meta(description="Where the submission lies.")]
    operation: str | None = None
    model: str | None = None
    correlation_id: str | None = None
    idempotency_key: str | None = None
    body: Annotated[
        msgspec.Raw, Meta(description="What HTTP would have answered, an error in the operation's own dialect too.")
    ] = msgspec.field(default_factory=lambda: NO_BODY)
    body_url: Annotated[
        str | None, Meta(description="Where a body lies that is too large for a message, for a day; `body` is null.")
    ] = None
    error: ResultError | None = None
    usage: ResultUsage | None = None


DECODER: Final = msgspec.json.Decoder(Submission)
ENCODER: Final = msgspec.json.Encoder()
RESULT_DECODER: Final = msgspec.json.Decoder(Result)

BASE: Final = "https://json-schema.org/draft/2020-12/schema"


def schema(of: type[Submission] | type[Result]) -> dict[str, Any]:
    """The JSON Schema of a message's value."""
    return {"$schema": BASE, "title": of.__name__, **msgspec.json.schema(of)}
