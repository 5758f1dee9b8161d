"""Everything that can go wrong, as one tree.

    PenstockError                                      status  retryable
    ├── InvalidRequest          invalid_request           400
    │   ├── InvalidValue        invalid_value             400
    │   ├── UnsupportedParameter unsupported_parameter    400
    │   ├── ContextLengthExceeded context_length_exceeded 400
    │   ├── PreviousResponseNotFound previous_response_not_found 400
    │   ├── BodyTooLarge        request_too_large         413
    │   ├── RangeNotSatisfiable range_not_satisfiable     416
    │   └── KeyReused           idempotency_key_reused    422
    ├── Unauthenticated         invalid_api_key           401
    ├── Forbidden               permission_denied         403
    ├── NotFound                not_found                 404
    │   ├── ModelNotFound       model_not_found           404
    │   └── Expired             expired                   410
    ├── Conflict                conflict                  409  yes
    │   ├── KeyInUse            idempotency_key_in_use    409  yes
    │   ├── AnswerNotKept       answer_not_kept           409
    │   ├── InUse               in_use                    409
    │   └── TooLate             too_late                  409
    ├── PreconditionFailed      precondition_failed       412
    ├── RateLimited             rate_limit_exceeded       429  yes
    ├── Cancelled               cancelled                 499
    ├── EngineFailed            engine_failed             502
    │   ├── EngineRejected      engine_rejected           502
    │   ├── EngineUnavailable   engine_unavailable        502  yes
    │   │   └── NoReplica       no_replica                503  yes
    │   └── StreamCut           stream_cut                502
    ├── Overloaded              overloaded                503  yes
    ├── Undecidable             undecidable               503  yes
    ├── WorkerLost              worker_lost               503
    ├── DeadlineExceeded        deadline_exceeded         504
    └── InternalError           internal_error            500

Between processes an error is `ErrorData`; `from_data` makes it an exception again.
"""

from typing import ClassVar

import msgspec


class ErrorData(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error on its way between processes; `status` is the HTTP status it answers with."""

    code: str
    message: str
    status: int
    param: str | None = None
    retryable: bool = False
    retry_after_s: float | None = None


class PenstockError(Exception):
    """The root of the tree; raised only through its branches."""

    code: ClassVar[str]
    status: ClassVar[int]
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s

    def data(self) -> ErrorData:
        return ErrorData(self.code, self.message, self.status, self.param, self.retryable, self.retry_after_s)


class InvalidRequest(PenstockError):
    code, status = "invalid_request", 400


class InvalidValue(InvalidRequest):
    code = "invalid_value"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class PreviousResponseNotFound(InvalidRequest):
    """OpenAI's own code and status, for its clients to know it by."""

    code = "previous_response_not_found"


class BodyTooLarge(InvalidRequest):
    code, status = "request_too_large", 413


class RangeNotSatisfiable(InvalidRequest):
    code, status = "range_not_satisfiable", 416


class KeyReused(InvalidRequest):
    """An idempotency key that came with another request before."""

    code, status = "idempotency_key_reused", 422


class Unauthenticated(PenstockError):
    code, status = "invalid_api_key", 401


class Forbidden(PenstockError):
    code, status = "permission_denied", 403


class NotFound(PenstockError):
    code, status = "not_found", 404


class ModelNotFound(NotFound):
    code = "model_not_found"


class Expired(NotFound):
    """What was there once, and for a time that is over."""

    code, status = "expired", 410


class Conflict(PenstockError):
    """What is asked for does not go with how things stand at the moment."""

    code, status, retryable = "conflict", 409, True


class KeyInUse(Conflict):
    """The request that an idempotency key came with first is not answered yet."""

    code = "idempotency_key_in_use"


class AnswerNotKept(Conflict):
    """An idempotency key whose request was answered with something that is not kept to be given again."""

    code, retryable = "answer_not_kept", False


class InUse(Conflict):
    """What is to go is needed still."""

    code, retryable = "in_use", False


class TooLate(Conflict):
    """What is asked for could have been done before, and never again."""

    code, retryable = "too_late", False


class PreconditionFailed(PenstockError):
    """What is asked for is not there yet, or not for such as this."""

    code, status = "precondition_failed", 412


class RateLimited(PenstockError):
    code, status, retryable = "rate_limit_exceeded", 429, True


class Cancelled(PenstockError):
    """The client went away, or asked for the end, before there was one."""

    code, status = "cancelled", 499


class EngineFailed(PenstockError):
    """An engine or provider answered with something that is no answer."""

    code, status = "engine_failed", 502


class EngineRejected(EngineFailed):
    """The provider refused the platform itself: its key, its plan, its permissions."""

    code = "engine_rejected"


class EngineUnavailable(EngineFailed):
    """The engine could not be reached, was overloaded, or was silent for too long."""

    code, status, retryable = "engine_unavailable", 503, True


class NoReplica(EngineUnavailable):
    """None of the addresses that a model is served at can take the request."""

    code = "no_replica"


class StreamCut(EngineFailed):
    """The engine's stream ended without a finish reason."""

    code = "stream_cut"


class Overloaded(PenstockError):
    """Shed at the door: a lane, or this process, has no room that would be free in time."""

    code, status, retryable = "overloaded", 503, True


class Undecidable(PenstockError):
    """A store that must be asked first is out of reach."""

    code, status, retryable = "undecidable", 503, True


class WorkerLost(PenstockError):
    """The worker died after the first chunk, so the job could not run again unseen."""

    code, status = "worker_lost", 503


class DeadlineExceeded(PenstockError):
    code, status = "deadline_exceeded", 504


class InternalError(PenstockError):
    code, status = "internal_error", 500


def _branches(root: type[PenstockError]) -> dict[str, type[PenstockError]]:
    found: dict[str, type[PenstockError]] = {}
    for branch in root.__subclasses__():
        found[branch.code] = branch
        found |= _branches(branch)
    return found


BY_CODE = _branches(PenstockError)


def from_data(data: ErrorData) -> PenstockError:
    """The exception that `data` was made from; an unknown code, from a newer process, is an InternalError."""
    branch = BY_CODE.get(data.code, InternalError)
    return branch(data.message, param=data.param, retry_after_s=data.retry_after_s)
