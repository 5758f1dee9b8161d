"""An attempt's reply on its way to the log: gathered whole, and there before its job's end is settled."""

from schemas.chunks import Chunk, Frame
from schemas.jobs import Job
from schemas.logged import LOG_CHANNEL, Accepted
from storage.log_replies import LogReplies
from storage.replies import Outboxes
from workers.reply import Reply


class _Gathered:
    """Takes frames as outboxes do."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def post(self, _: str, frame: Frame) -> None:
        self.chunks += frame.chunks


class ReplyToLog(Reply):
    def __init__(self, replies: LogReplies, job: Job, attempt: int) -> None:
        self._replies = replies
        self._whole = _Gathered()
        super().__init__(self._whole, job, attempt)

    async def delivered(self) -> None:
        await self._replies.publish(Accepted.of(self._job), self._whole.chunks)


def reply_of(outboxes: Outboxes, replies: LogReplies, job: Job, attempt: int) -> Reply:
    """Where this attempt's reply goes."""
    return ReplyToLog(replies, job, attempt) if job.reply_to == LOG_CHANNEL else Reply(outboxes, job, attempt)
