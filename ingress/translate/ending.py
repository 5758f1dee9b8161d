"""Whether a job's end is the clean end of an answer, in any dialect."""

from schemas.chunks import Ended
from schemas.errors import ErrorData, InternalError, StreamCut


def end_error(ended: Ended, *, finished: bool) -> ErrorData | None:
    """Why a job's end is not an answer's clean end; None when it is one.

    An answer without a finish reason for all that it holds is a cut stream, whatever the worker called it.
    """
    if ended.error is not None:
        return ended.error
    if ended.end != "completed":
        return InternalError(f"The job ended as {ended.end} without a reason.").data()
    if not finished:
        return StreamCut("The model's output stopped without a finish reason.").data()
    return None
