"""An accepted job, as this process follows it."""

from dataclasses import dataclass, field

from ingress.mailbox import Mailbox
from schemas.chat import Chat
from schemas.jobs import Job, Stored
from storage.limits import Scope


@dataclass(slots=True)
class Submission:
    """An accepted job and the mailbox its answer comes to; must be handed back to `Submitter.close`.

    `stored` is the claim check of a body too large for the log.
    """

    job: Job
    mailbox: Mailbox
    scopes: tuple[Scope, ...]
    reserved_tokens: int
    headers: dict[str, str] = field(default_factory=dict)
    stored: Stored | None = None

    @property
    def complete(self) -> bool:
        """Whether every choice is there, although the end itself may not be."""
        return isinstance(self.job.work, Chat) and self.mailbox.finished >= self.job.work.sampling.choices

    @property
    def unused_tokens(self) -> int:
        """What of the reservation was not used; nothing where a worker began and its count was not heard."""
        mailbox = self.mailbox
        if mailbox.ended is not None and mailbox.ended_by_worker:
            return self.reserved_tokens - mailbox.ended.usage.input_tokens - mailbox.ended.usage.output_tokens
        return 0 if mailbox.heard else self.reserved_tokens
