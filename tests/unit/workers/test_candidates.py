"""What the engines that may run a job are given of it."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.catalog import Catalog, Model
from schemas.chat import Chat, Message, Sampling, Text
from schemas.jobs import Fallback, Job
from schemas.usage import Price
from storage.expiring import ExpiringObjects
from storage.line import Line
from storage.object_folder import ObjectFolder
from workers.candidates import Candidates
from workers.fetch import Fetcher
from workers.images import Inliner
from workers.pictures import Deposits

HELLO = (Message("user", (Text("Hello"),)),)


class Engine:
    def __init__(self, *batches: Sequence[Any]) -> None:
        self._batches = batches

    async def generate(self, job_id: str, asked: Any) -> AsyncGenerator[Sequence[Any], None]:
        for batch in self._batches:
            yield batch

    async def close(self) -> None:
        pass


def row(model_id: str, **fields: Any) -> Model:
    return Model.model_validate(
        {"id": model_id, "engine": "llama_cpp", "context_tokens": 400, "max_output_tokens": 100, **fields}
    )


def candidates(folder: Path, *models: Model, engines: dict[str, Any]) -> Candidates:
    fetcher = Fetcher((), http=False, limit_s=1)
    deposits = Deposits(ExpiringObjects(Line("redis://127.0.0.1:1/0"), ObjectFolder(folder)), fetcher)
    return Candidates(Catalog(models), engines, Inliner(fetcher), deposits)


def job(model: str, work: Chat, fallbacks: tuple[Fallback, ...] = ()) -> Job:
    return Job(
        id="job_1",
        account="acme",
        key_id="key_1",
        model=model,
        operation="any",
        lane="any.lane",
        accepted_at_ms=0,
        deadline_ms=2**60,
        reply_to="nobody",
        stream=False,
        price=Price(1),
        work=work,
        fallbacks=fallbacks,
    )


@pytest.mark.parametrize(("asked", "given"), [(500, 100), (50, 50), (None, None)])
async def test_a_model_is_asked_for_no_more_than_it_can_give(
    tmp_path: Path, asked: int | None, given: int | None
) -> None:
    chat = Chat(HELLO, Sampling(max_output_tokens=asked, seed=1))
    (only,) = candidates(tmp_path, row("m"), engines={"m": Engine()}).of(job("m", chat), chat)
    prepared = await only.prepare(chat)
    assert (prepared.sampling.max_output_tokens, prepared.sampling.seed) == (given, 1)


async def test_fallbacks_that_this_worker_has_stand_behind_the_model_that_was_asked(tmp_path: Path) -> None:
    chat = Chat(HELLO)
    asked = job("a", chat, (Fallback("elsewhere", Price(2)), Fallback("b", Price(3))))
    models = [row("a", attempts=5), row("b"), row("elsewhere")]
    found = candidates(tmp_path, *models, engines={"a": Engine(), "b": Engine()}).of(asked, chat)
    assert [(each.model, each.price, each.tries) for each in found] == [("a", Price(1), 5), ("b", Price(3), 3)]
