"""An attempt's reply on its way to the log: gathered whole, and there before its job's end is settled."""

from schemas.chunks import Chunk, Frame
from schemas.jobs import Job
from schemas.logged import Accepted, topic_of
from storage.log_replies import LogReplies
from storage.replies import Outboxes
from workers.reply import Reply


class _Gathered:
    """Takes frames as outboxes do."""

    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    def post(self, _: str, frame: Frame) -> None:
        self.chunks += frame.chunks

    async def room(self, _: str) -> None:
        """There always is."""


class ReplyToLog(Reply):
    def __init__(self, replies: LogReplies, topic: str, job: Job, attempt: int) -> None:
        self._replies = replies
        self._topic = topic
        self._whole = _Gathered()
        super().__init__(self._whole, job, attempt)

    async def delivered(self) -> None:
        await self._replies.publish(self._topic, Accepted.of(self._job), self._whole.chunks)


def reply_of(outboxes: Outboxes, replies: LogReplies, job: Job, attempt: int) -> Reply:
    """Where this attempt's reply goes."""
    topic = topic_of(job.reply_to)
    return Reply(outboxes, job, attempt) if topic is None else ReplyToLog(replies, topic, job, attempt)
