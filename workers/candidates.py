"""Which engines may run a job, and what each is to get."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from schemas.catalog import Catalog, Model
from schemas.chat import Chat
from schemas.jobs import COUNT_TOKENS, Asked, Fallback, Job
from schemas.media import Draw
from workers.count import Counting
from workers.engine import Engine
from workers.failover import Candidate
from workers.images import Inliner
from workers.pictures import Deposits


class Candidates:
    """The engines of one worker, by the ids of their rows."""

    def __init__(
        self, catalog: Catalog, engines: Mapping[str, Engine[Any, Any]], inliner: Inliner, deposits: Deposits
    ) -> None:
        self._catalog = catalog
        self._engines = engines
        self._inliner = inliner
        self._deposits = deposits

    def of(self, job: Job, asked: Asked) -> list[Candidate[Any]]:
        """The model that was asked, and those that may answer in its place; of these, such as this worker has.

        Raises ModelNotFound or KeyError when the first is not there.
        """
        first = self._candidate(job, asked, Fallback(job.model, job.price))
        return [first, *(self._candidate(job, asked, each) for each in job.fallbacks if each.model in self._engines)]

    def _candidate(self, job: Job, asked: Asked, answering: Fallback) -> Candidate[Any]:
        model = self._catalog.find(answering.model)
        engine = self._engines[model.id]
        prepare = _as_it_is
        match asked:
            case Chat():
                engine = Counting(engine) if job.operation == COUNT_TOKENS else engine
                prepare = partial(self._prepare_chat, model)
            case Draw():
                engine = self._deposits.of(engine, job)
        return Candidate(model.id, engine, model.attempts, answering.price, prepare)

    async def _prepare_chat(self, model: Model, chat: Chat) -> Chat:
        """With what it names by URL fetched, where the platform is to do that, and within the model's own bound."""
        fetched = await (self._inliner.inline if model.url_fetch == "platform" else self._inliner.check)(chat)
        asked = fetched.sampling.max_output_tokens
        if asked is None or asked <= model.max_output_tokens:
            return fetched
        sampling = msgspec.structs.replace(fetched.sampling, max_output_tokens=model.max_output_tokens)
        return msgspec.structs.replace(fetched, sampling=sampling)


async def _as_it_is(asked: Any) -> Any:
    return asked
