"""Jobs that only measure a prompt: run as any other job, charged as nothing."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

from schemas.chat import Chat
from schemas.chunks import Delta, UsageReport
from schemas.errors import EngineFailed
from schemas.usage import Usage
from workers.engine import CountsTokens, TextEngine
from workers.outcome import Outcome


class Counting:
    """An engine as it is asked by such a job: its only output is the count."""

    def __init__(self, engine: TextEngine) -> None:
        self._engine = engine

    async def generate(self, job_id: str, chat: Chat) -> AsyncGenerator[Sequence[Delta], None]:
        if not isinstance(self._engine, CountsTokens):
            raise EngineFailed("The engine of this model cannot count tokens.")
        yield [UsageReport(Usage(input_tokens=await self._engine.count_tokens(chat)))]

    async def close(self) -> None:
        await self._engine.close()


def counted(outcome: Outcome) -> Outcome:
    """The outcome as such a job's: its count is what it answers, and not what it used."""
    if outcome.end != "completed":
        return outcome
    return replace(outcome, usage=Usage(), counted_tokens=outcome.usage.input_tokens)
