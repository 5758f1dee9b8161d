"""The production topology of compose.yaml as processes: started in its order, killed and started again by name."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from storage.local.child import Child
from storage.local.failure import StartFailed
from storage.local.kafka_program import KafkaProgram
from tests.integration.cluster.compose_file import Service, services
from tests.integration.cluster.places import Places
from tests.integration.cluster.postgres import Postgres
from tests.integration.cluster.postgres import stop as stop_postgres
from tests.integration.cluster.servers import Site, Start, environment_of, run_to_its_end, start_of
from tests.running import Running

WATCHING: Final = ("prometheus", "grafana")
"""What only looks on: its configuration has tests of its own."""

MIGRATE: Final = "migrate"
SERVERS: Final = ("kafka-1", "kafka-2", "kafka-3", "valkey", "postgres", "seaweedfs")
PARTS: Final = (
    *("ingress-1", "ingress-2", "text-worker-1", "text-worker-2", "media-worker"),
    *("dispatcher", "celery", "log-door", "batches", "streams"),
)
STOP_S: Final = 10.0
RESTART_S: Final = 0.5
START_S: Final = 150.0

SECRETS: Final = {
    "POSTGRES_PASSWORD": "only-here",
    "VALKEY_PASSWORD": "only-here-too",
    "S3_ACCESS_KEY": "cluster",
    "S3_SECRET_KEY": "not-a-secret-at-all",
    "GRAFANA_PASSWORD": "unused",
}
SMALL: Final = {
    "PUBLIC_URL": "http://proxy:8080",
    # Where a proxy of this machine's comes from, whatever address it is reached at.
    "PROXY_ADDRESS": "127.0.0.1",
    "LANE_PARTITIONS": "4",
}


class Cluster(Running):
    """The services by name; `url` is the proxy's, `door` tells each ingress's own."""

    def __init__(self, site: Site, told: Mapping[str, Service]) -> None:
        self._site = site
        self._told = told
        self._children: dict[str, Child] = {}
        self._ready = {name: asyncio.Event() for name in told}
        self._postgres = self._make_postgres()
        self._starts: dict[str, Start] = {name: self._start_of(name) for name in told if name != MIGRATE}
        part = environment_of(told["ingress-1"], site)
        self.bootstrap = part["PENSTOCK_KAFKA"]
        super().__init__(part["PENSTOCK_PUBLIC_URL"], part["PENSTOCK_REDIS"], part["PENSTOCK_DATABASE"])

    @property
    def names(self) -> list[str]:
        """The services that go on running."""
        return list(self._starts)

    def door(self, name: str) -> str:
        """Where one ingress is, without the proxy."""
        return f"http://{self.address(name)}:8080"

    def metrics(self, name: str) -> str:
        """Where a part's metrics are."""
        return f"http://{self.address(name)}:9100"

    def address(self, name: str) -> str:
        return self._site.places.of(name)

    def node(self, number: int) -> str:
        """The bootstrap address of one of Kafka's nodes."""
        return f"{self.address(f'kafka-{number}')}:9092"

    async def start_all(self) -> None:
        """Start every service as soon as what it waits for is ready; raises StartFailed."""
        async with asyncio.timeout(START_S):
            starting = [asyncio.create_task(self._start_in_turn(name)) for name in self._told]
            try:
                await asyncio.gather(*starting)
            finally:
                for each in starting:
                    each.cancel()
                await asyncio.gather(*starting, return_exceptions=True)

    async def start(self, *names: str) -> None:
        """Returns when all of them are ready."""

        async def one(name: str) -> None:
            self._children[name] = await self._starts[name]()

        await asyncio.gather(*[one(name) for name in names])

    async def kill(self, *names: str) -> None:
        """kill -9, after which they stay dead."""
        children = [self._children.pop(name) for name in names]
        for child in children:
            os.kill(child.pid, signal.SIGKILL)
        for child in children:
            await child.wait()

    async def keep(self) -> None:
        """Starts again what has ended by itself, as compose.yaml has it (`restart: unless-stopped`); for ever."""
        while True:
            await asyncio.sleep(RESTART_S)
            for name in [name for name, child in self._children.items() if not child.running]:
                with suppress(StartFailed):
                    await self.start(name)

    async def stop(self, name: str) -> int:
        """Tell it to end, and return its exit status: 0 if it ended in its own time."""
        return await self._end(name, STOP_S)

    def freeze(self, name: str) -> None:
        """Let the service and its processes do nothing, as a machine would that swaps or a disk that hangs."""
        self._signal_all(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal_all(name, signal.SIGCONT)

    def _signal_all(self, name: str, number: signal.Signals) -> None:
        process = psutil.Process(self._children[name].pid)
        for each in (process, *process.children(recursive=True)):
            each.send_signal(number)

    def runs(self, name: str) -> bool:
        return name in self._children and self._children[name].running

    async def mend(self) -> None:
        """Back to every service, whatever a test has done."""
        gone = [name for name in self._starts if not self.runs(name)]
        for group in ([n for n in gone if n in SERVERS], [n for n in gone if n not in SERVERS]):
            await self.start(*group)

    async def check(self, name: str) -> int:
        """The exit status of what compose.yaml asks whether the service is well."""
        service = self._told[name]
        kind, *words = service.check
        command = ["sh", "-c", *words] if kind == "CMD-SHELL" else words
        return await run_to_its_end(command, service, self._site, f"{name}.health.log")

    async def stop_all(self) -> None:
        """End the parts, and then the servers, by force: nobody needs what they keep."""
        for group in ([n for n in self._children if n not in SERVERS], SERVERS):
            await asyncio.gather(*[self._end(name, 0) for name in group if name in self._children])
        self._postgres.remove()

    async def _end(self, name: str, grace_s: float) -> int:
        child = self._children.pop(name)
        await (stop_postgres(child) if name == "postgres" else child.stop(grace_s))
        return await child.wait()

    def log(self, name: str) -> str:
        """What a part has logged."""
        file = self._site.folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    async def log_count(self, name: str, event: str) -> int:
        """How often a part has logged this event."""
        return self.log(name).count(f'"event": "{event}"')

    async def _start_in_turn(self, name: str) -> None:
        service = self._told[name]
        for before in service.after:
            await self._ready[before].wait()
        if name == MIGRATE:
            if await run_to_its_end(service.command, service, self._site, "migrate.log") != 0:
                raise StartFailed(f"migrate: {self.log(MIGRATE)}")
        else:
            await self.start(name)
        self._ready[name].set()

    def _start_of(self, name: str) -> Start:
        return self._postgres.start if name == "postgres" else start_of(self._told[name], self._site)

    def _make_postgres(self) -> Postgres:
        service = self._told["postgres"]
        environment = environment_of(service, self._site)
        log = self._site.folder / "postgres.log"
        return Postgres(environment, service.command[1:], self.address("postgres"), 5432, log)


@asynccontextmanager
async def running_cluster(folder: Path, kafka: KafkaProgram, catalog: Path, **variables: str) -> AsyncIterator[Cluster]:
    """The whole of it, ready inside the block and gone after it."""
    given = {**SECRETS, **SMALL, "CATALOG_FILE": str(catalog), **variables}
    told = {name: service for name, service in services(given).items() if name not in WATCHING}
    cluster = Cluster(Site(folder, Places(told), kafka), told)
    keeping = None
    try:
        await cluster.start_all()
        keeping = asyncio.create_task(cluster.keep())
        yield cluster
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait({keeping})
        await cluster.stop_all()


def lanes(*names: str) -> str:
    """The words by which a worker is told its lanes."""
    return " ".join(word for name in names for word in ("--lane", name))
