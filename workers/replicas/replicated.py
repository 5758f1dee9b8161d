"""One model at several addresses, as one engine."""

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from yarl import URL

from schemas.catalog import Model
from schemas.chat import Chat
from schemas.chunks import Delta
from schemas.errors import EngineUnavailable, NoReplica, PenstockError
from workers.engine import CountsTokens, Engine, EngineBusy
from workers.replicas.choice import choose
from workers.replicas.options import ReplicaOptions
from workers.replicas.prefix import Load, load_of
from workers.replicas.probe import Probe, Probes
from workers.replicas.replica import Clock, Replica, result_of
from workers.retry import has_output

Asks = TypeVar("Asks")
Built = TypeVar("Built")

NONE_S = 1.0
"""When it may be asked again whether one of the replicas is back; each is looked at as often."""


class NoRoom(EngineBusy):
    """Each replica that is in order has turned the request, or one just before it, away; outside, a NoReplica."""

    code, status = NoReplica.code, NoReplica.status


class Replicated(Generic[Asks]):
    """Each request goes to one replica. One that fails before its first output says, by a wait of 0 s, if another is
    ready: who tries again then comes there, for the one that has just failed rests.
    """

    def __init__(
        self,
        model: str,
        replicas: Sequence[Replica[Engine[Asks, Delta]]],
        options: ReplicaOptions,
        probes: Sequence[Probe] = (),
    ) -> None:
        """Without `probes` only requests find out how the replicas are."""
        self.replicas = replicas
        self._model = model
        self._prefix_chars = options.prefix_chars
        self._probes = Probes(list(zip(replicas, probes, strict=False)), self.let_go)

    async def start(self) -> None:
        await self._probes.start()

    async def generate(self, job_id: str, asked: Asks) -> AsyncGenerator[Sequence[Delta], None]:
        replica, load = self._chosen(asked)
        begun = False
        try:
            with replica.turn(load.work):
                async with aclosing(replica.served.generate(job_id, asked)) as batches:
                    first = await replica.waiting.first(batches)
                    if first is not None:
                        begun = has_output(first)
                        if begun:
                            replica.begun()
                        yield first
                    async for batch in batches:
                        if not begun and has_output(batch):
                            begun = True
                            replica.begun()
                        yield batch
        except PenstockError as error:
            if begun or (told := self._told(error)) is error:
                raise
            raise told from error

    async def close(self) -> None:
        await self._probes.close()
        for replica in self.replicas:
            await replica.served.close()

    def let_go(self, out: Replica[Any]) -> None:
        """A replica's probes fail: who still waits for its first word is asked of another, if there is one."""
        if any(replica.ready for replica in self.replicas):
            out.waiting.let_go()

    def _chosen(self, asked: Asks) -> tuple[Replica[Engine[Asks, Delta]], Load]:
        load = load_of(asked, self._prefix_chars)
        replica = choose(self.replicas, load)
        if replica is None:
            said = max(self.replicas, key=lambda each: each.failed_at).last_failure
            words = f"No address of model '{self._model}' is in order at the moment. {said}".rstrip()
            raise NoReplica(words, retry_after_s=NONE_S)
        return replica, load

    def _told(self, error: PenstockError) -> PenstockError:
        """What a failure before any output comes to, with the other replicas in view."""
        if result_of(error) == "refused":
            return error
        if any(replica.ready for replica in self.replicas):
            return NoReplica(error.message, retry_after_s=0.0)
        rests_s = [replica.rests_s for replica in self.replicas if replica.state == "closed"]
        if isinstance(error, EngineBusy) and rests_s:
            return NoRoom(error.message, retry_after_s=None if error.retry_after_s is None else min(rests_s))
        return NoReplica(error.message) if isinstance(error, EngineUnavailable) else error


class ReplicatedText(Replicated[Chat]):
    """With engines that count a chat's tokens, any of which counts like the others."""

    async def count_tokens(self, chat: Chat) -> int:
        replica, load = self._chosen(chat)
        try:
            with replica.turn(load.work):
                assert isinstance(replica.served, CountsTokens), "all are built alike"
                return await replica.served.count_tokens(chat)
        except PenstockError as error:
            if (told := self._told(error)) is error:
                raise
            raise told from error


def replicated(
    model: Model,
    options: ReplicaOptions,
    build: Callable[[Model], Engine[Any, Any]],
    *,
    clock: Clock = time.monotonic,
) -> Engine[Any, Any]:
    """The engine of a row with several addresses; `build` makes one of a row with one."""
    replicas = replicas_of(model, build, clock)
    probes = probes_of(model, options)
    if all(isinstance(replica.served, CountsTokens) for replica in replicas):
        return ReplicatedText(model.id, replicas, options, probes)
    return Replicated(model.id, replicas, options, probes)


def replicas_of(model: Model, build: Callable[[Model], Built], clock: Clock) -> list[Replica[Built]]:
    """One for each address, each with what is built of a row that has no other."""
    return [
        Replica(model.id, name, build(model.model_copy(update={"base_url": address, "replicas": ()})), clock)
        for name, address in zip(names_of(model), model.addresses, strict=True)
    ]


def names_of(model: Model) -> list[str]:
    """Host and port of each address, with its path where several have the same."""
    urls = [URL(str(address)) for address in model.addresses]
    hosts = [f"{url.raw_host}:{url.port}" for url in urls]
    return hosts if len(set(hosts)) == len(hosts) else [h + url.raw_path for h, url in zip(hosts, urls, strict=True)]


def probes_of(model: Model, options: ReplicaOptions) -> list[Probe]:
    """One for each address, or none."""
    return [Probe(URL(str(address)), options.health) for address in model.addresses] if options.probe else []
