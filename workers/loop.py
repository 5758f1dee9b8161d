"""The loop of one lane: take, admit, run, publish, settle."""

import asyncio
import logging
import math
from collections.abc import Callable
from functools import partial

import msgspec

from schemas.chunks import Ended, Frame
from schemas.errors import InternalError, ModelNotFound, Overloaded, Undecidable, WorkerLost
from schemas.jobs import COUNT_TOKENS, DECODER, WORK_DECODER, Asked, Job, Stored
from schemas.logged import LOG_CHANNEL, Accepted, topic_of
from schemas.topics import REPLIES
from schemas.usage import Usage
from storage.jobs import Claim, Claimed, JobRecords
from storage.lane_consumer import LaneConsumer, Taken
from storage.log_replies import LogReplies
from storage.objects import Objects
from storage.observe.tracing import Tracing, traceparent_of
from storage.replies import Outboxes
from workers import metrics
from workers.candidates import Candidates
from workers.count import counted
from workers.gate import Refusal, admit
from workers.logged_reply import reply_of
from workers.outcome import EVENT_DECODER, Outcome, now_ms
from workers.reply import Reply
from workers.run import Attempt
from workers.runs import Runs
from workers.settle import Settler, until_done
from workers.slots import Slot, Turns, hold

COMMIT_S = 0.2
FULL_S = 30.0
"""How long a full worker waits for a slot before it tells the group that it lives."""

HANDOVER_S = 1.0
"""How long a lane waits for a worker that stops: most jobs end within it, and need not be given to anybody."""

UNSETTLED_PER_SLOT = 4
"""Jobs past their engine that may wait for a store, or for another worker's lease, before no more are taken."""

END_TOLD_S = 0.5
"""How long after an end somebody else is given to tell of it: a worker that has lost its partition may not know yet."""

CUT_OFF_S = 60.0
"""How long a lane may give nothing but errors; a new process may find what this one does not."""

RETRY_S = 1.0

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
UNRUNNABLE = (ModelNotFound, KeyError, OSError, ValueError, msgspec.DecodeError, RecursionError)
"""No such model here, no such engine, and an object that is not there, not readable or not what it should be."""

log = logging.getLogger(__name__)


class LaneLoop:
    """Takes no more jobs than there are free slots and answers for each until its end is settled.

    Jobs that somebody waits for run within `patience_s` of their acceptance or not at all. `turned_away` is told of a
    model whose engine had no room, and says whether its slots follow what it can run.
    """

    def __init__(
        self,
        lane: str,
        slots: Turns,
        *,
        candidates: Candidates,
        consumer: LaneConsumer,
        records: JobRecords,
        runs: Runs,
        outboxes: Outboxes,
        log_replies: LogReplies,
        objects: Objects,
        settler: Settler,
        tracing: Tracing,
        patience_s: float = math.inf,
        turned_away: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.lane = lane
        self.ended = 0
        self._candidates = candidates
        self._consumer = consumer
        self._records = records
        self._runs = runs
        self._outboxes = outboxes
        self._log_replies = log_replies
        self._objects = objects
        self._settler = settler
        self._tracing = tracing
        self._slots = slots
        self._patience_s = patience_s
        self._turned_away = turned_away
        self._was_full = False
        self._open: set[asyncio.Task[None]] = set()
        self._failure: BaseException | None = None
        self._cut_off_at: float | None = None
        self._running = metrics.RUNNING.labels(lane)
        self._queue_wait = metrics.QUEUE_WAIT.labels(lane)

    @property
    def slots(self) -> int:
        return self._slots.count

    @property
    def hoped_slots(self) -> int:
        return self._slots.hoped

    @property
    def held_s(self) -> float:
        return self._slots.held_s

    @property
    def full_models(self) -> tuple[str, ...]:
        return self._slots.full_models

    @property
    def running(self) -> int:
        return self._slots.held

    async def open(self) -> None:
        """Joins the lane's group. Raises Undecidable."""
        await self._consumer.open()

    async def close(self) -> None:
        """Commits what is settled and leaves."""
        await self._consumer.close()

    async def run(self) -> None:
        """Takes jobs until it is cancelled; those under way go on, see `drain`.

        Raises what no job may raise: the worker cannot answer for its jobs then, and must be started anew.
        """
        while self._failure is None:
            await self._until_there_is_room()
            for taken in await self._take(max(1, self._slots.free)):
                slot = await hold(self._slots, self._rest, FULL_S)
                task = asyncio.create_task(self._answer_for(taken, slot))
                self._open.add(task)
                task.add_done_callback(partial(self._answered, slot))
        raise self._failure

    async def commit(self) -> None:
        """Commits what is settled, each COMMIT_S, for ever."""
        while True:
            await asyncio.sleep(COMMIT_S)
            await self._consumer.commit()

    async def lag(self) -> int:
        """Jobs that wait; a worker that has had free slots ever since it was asked last leaves none in the lane."""
        full, self._was_full = self._was_full or self._slots.taken, False
        return self._slots.waiting + (await self._consumer.lag() if full else 0)

    async def drain(self, timeout_s: float) -> None:
        """Waits for the jobs under way; what is not done by then is left to be delivered again.

        Others have the lane's partitions meanwhile, with what has come since. They are also given the jobs that are
        under way here for longer than HANDOVER_S, and wait for their leases to run out or for their ends.
        """
        if self._open:
            await asyncio.wait(self._open, timeout=min(HANDOVER_S, timeout_s))
        await self._consumer.leave()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=max(0.0, timeout_s - HANDOVER_S))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _take(self, most: int) -> list[Taken]:
        """Raises Undecidable once the lane has been cut off for CUT_OFF_S."""
        now = asyncio.get_running_loop().time()
        try:
            taken = await self._consumer.take(most)
        except Undecidable as failure:
            self._cut_off_at = self._cut_off_at or now
            if now - self._cut_off_at > CUT_OFF_S:
                raise
            log.warning("lane_cut_off", extra={"lane": self.lane, "reason": failure.message})
            await asyncio.sleep(RETRY_S)
            return []
        self._cut_off_at = None
        return taken

    def _answered(self, slot: Slot, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        slot.give_back()
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.critical("job_unanswered", exc_info=failure)
            self._failure = failure

    async def _until_there_is_room(self) -> None:
        while len(self._open) >= UNSETTLED_PER_SLOT * self.slots:
            await asyncio.wait(self._open, timeout=FULL_S, return_when=asyncio.FIRST_COMPLETED)
            await self._rest()
        self._was_full = self._was_full or self._slots.taken
        (await hold(self._slots, self._rest, FULL_S)).give_back()

    async def _rest(self) -> None:
        try:
            await self._consumer.rest()
        except Undecidable as failure:
            log.warning("lane_cut_off", extra={"lane": self.lane, "reason": failure.message})

    async def _answer_for(self, taken: Taken, slot: Slot) -> None:
        try:
            job = DECODER.decode(taken.value)
        except UNREADABLE as failure:
            slot.give_back()
            await self._refuse_unreadable(taken, str(failure))
        else:
            await slot.at(job.model)
            await self._work(job, taken, slot)
        self._consumer.done(taken)

    async def _work(self, job: Job, taken: Taken, slot: Slot) -> None:
        claimed = await self._claim(job, slot)
        if claimed.claim is Claim.ENDED:
            slot.give_back()
            await self._repeat_end(job, claimed)
            return
        reply = reply_of(self._outboxes, self._log_replies, job, claimed.attempt)
        refusal = admit(job, claimed, now_ms(), self._patience_s)
        if refusal is not None:
            metrics.REFUSED.labels(self.lane, refusal.end).inc()
            if isinstance(refusal.error, Overloaded):
                metrics.SHED.labels(self.lane).inc()
            outcome: Outcome | None = _not_run(refusal, claimed)
        else:
            outcome = await self._run(job, taken, claimed.attempt, reply)
            self.ended += 1
        slot.give_back()
        if outcome is not None:
            await self._settler.settle(job, taken, outcome, reply)

    async def _claim(self, job: Job, slot: Slot) -> Claimed:
        """The claim that lets this worker decide; while another one holds the job, its slot here is free."""
        while True:
            claimed = await until_done(lambda: self._records.claim(job.id, job.deadline_ms))
            if claimed.claim is not Claim.ELSEWHERE:
                return claimed
            slot.give_back()
            await asyncio.sleep(claimed.lease_left_ms / 1000 + 0.01)
            await slot.take()

    async def _run(self, job: Job, taken: Taken, attempt: int, reply: Reply) -> Outcome | None:
        self._running.inc()
        self._queue_wait.observe(max(0, now_ms() - job.accepted_at_ms) / 1000)
        try:
            asked = await self._asked(job)
            candidates = self._candidates.of(job, asked)
        except UNRUNNABLE:
            self._running.dec()
            log.exception("job_cannot_run", extra={"job_id": job.id, "model": job.model})
            lost = InternalError("The worker's catalogue or storage lacks what this request needs.")
            return Outcome("failed", Usage(), attempt, lost)
        counts = job.operation == COUNT_TOKENS
        run = Attempt(job, asked, attempt, candidates=candidates, reply=reply, turned_away=self._turned_away)
        try:
            with self._tracing.span("run", traceparent_of(taken.headers), job_id=job.id, model=job.model):
                outcome = await run.run(self._runs, self._records)
            return counted(outcome) if counts and outcome is not None else outcome
        finally:
            self._running.dec()

    async def _asked(self, job: Job) -> Asked:
        if isinstance(job.work, Stored):
            return WORK_DECODER.decode(await self._objects.get(job.work.key))
        return job.work

    async def _repeat_end(self, job: Job, claimed: Claimed) -> None:
        """The job has ended, perhaps with nobody told: whoever still waits hears it, and the event goes out again.

        What was replied to the log is there since before the end; a submission's job that was queued twice is told of
        with nothing to say, for what was reserved the second time.
        """
        if topic_of(job.reply_to) is None:
            await asyncio.sleep(END_TOLD_S)
            lost = WorkerLost("The worker was lost at the end of this request. Ask again.")
            attempt, usage = _ended_as(claimed)
            self._outboxes.post(job.reply_to, Frame(job.id, attempt + 1, 0, [Ended("failed", usage, lost.data())]))
        elif job.reply_to == LOG_CHANNEL:
            await until_done(lambda: self._log_replies.publish(REPLIES, Accepted.of(job), []))
        await self._settler.publish_usage(job, claimed.end)

    async def _refuse_unreadable(self, taken: Taken, reason: str) -> None:
        headers = {name: value.decode(errors="replace") for name, value in taken.headers}
        if "job_id" in headers and "reply_to" in headers:
            error = InternalError("The platform could not read its own message. Nothing ran, nothing is charged.")
            ended = Ended("failed", Usage(), error.data())
            await self._tell(headers["job_id"], headers["reply_to"], ended)
        await self._settler.set_aside(taken, reason)

    async def _tell(self, job_id: str, reply_to: str, ended: Ended) -> None:
        topic = topic_of(reply_to)
        if topic is not None:
            await until_done(lambda: self._log_replies.publish(topic, Accepted(job_id), [ended]))
        else:
            self._outboxes.post(reply_to, Frame(job_id, 1, 0, [ended]))


def _ended_as(claimed: Claimed) -> tuple[int, Usage]:
    """The last attempt there was, and what it used."""
    try:
        event = EVENT_DECODER.decode(claimed.end)
    except UNREADABLE:
        # A newer worker wrote it, and its own kind will read it.
        return claimed.attempt, Usage()
    return max(claimed.attempt, event.attempt), event.usage


def _not_run(refusal: Refusal, claimed: Claimed) -> Outcome:
    return Outcome(refusal.end, refusal.usage, claimed.attempt, refusal.error, poison=refusal.poison)
