"""The whole platform on one machine: the servers, the parts, and the steps between them."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from penstock.options import StackOptions
from penstock.part import start_part
from penstock.run_file import PartRow, Run, claim, write_run
from penstock.step import run_step
from penstock.supervisor import Part, Stage, Supervisor, Tell
from penstock.together import together
from storage.local.failure import StartFailed
from storage.local.jars import Progress
from storage.local.kafka import KafkaNode
from storage.local.kafka_install import install_kafka
from storage.local.ports import free_port, is_free
from storage.local.valkey import ValkeyServer

DRAIN_S: Final = 3
"""How long a stopping part waits for what it has under way: less than its stage's grace."""


TEXT: Final = ("text",)
MEDIA: Final = ("embedding", "image", "speech")
"""The modalities whose lanes share a pool of workers here; where models are large, each has its own."""

LONG: Final = ("video", "invoke")
"""The modalities whose jobs are dispatched step by step."""


class Stack:
    """A stack in the making and then running; `kafka` and `redis` are the addresses that the parts are given."""

    def __init__(self, options: StackOptions, tell: Tell) -> None:
        self._options = options
        self._catalog = options.catalog_files()
        self._supervisor = Supervisor(tell, self._write)
        self._ready = False
        self._kafka = options.kafka or ""
        self._redis = options.redis or ""

    async def start(self, progress: Progress) -> None:
        """Everything is ready when this returns; raises StartFailed, then `stop` removes what had started."""
        self._write()
        servers = await self._servers(progress)
        prepare = ["-m", "penstock.prepare", str(self._options.key_file)]
        lanes, _ = await together(run_step(prepare, self._environment()), self._serve(servers))
        await self._supervisor.start(*self._parts(lanes.split()))
        self._ready = True
        self._write()

    async def stop(self) -> None:
        await self._supervisor.stop()

    def run(self) -> Run:
        """What runs at this moment."""
        rows = [
            PartRow(k.part.name, k.state, k.child.pid if k.child else None, k.restarts, k.part.address)
            for k in self._supervisor.kept
        ]
        return Run(
            pid=self._supervisor.pid,
            key_file=str(self._options.key_file),
            ready=self._ready,
            base_url=self._options.base_url,
            data=str(self._options.data.resolve()),
            kafka=self._kafka,
            redis=self._redis,
            database=self._options.database_url,
            catalog=self._catalog,
            parts=rows,
        )

    def _write(self) -> None:
        write_run(self.run(), self._options.data)

    async def _serve(self, servers: Sequence[Part]) -> str:
        """Have the servers up and the topics made; returns what was made."""
        await self._supervisor.start(*servers)
        return await run_step(["-m", "penstock.topics"], self._environment())

    async def _servers(self, progress: Progress) -> list[Part]:
        """The embedded servers that nobody has given an address in place of."""
        options, servers = self._options, []
        if options.kafka is None:
            node = KafkaNode(await install_kafka(progress), options.data / "kafka", logs=options.logs)
            servers.append(Part("kafka", node.bootstrap, Stage.SERVER, node.start))
            self._kafka = node.bootstrap
        if options.redis is None:
            valkey = ValkeyServer(options.data / "valkey", logs=options.logs)
            servers.append(Part("valkey", valkey.url, Stage.SERVER, valkey.start))
            self._redis = valkey.url
        return servers

    def _parts(self, lanes: Sequence[str]) -> list[Part]:
        options = self._options
        door = {"PENSTOCK_HOST": options.host, "PENSTOCK_PORT": str(options.port)}
        door["PENSTOCK_REUSE_PORT"] = "1" if options.ingress > 1 else "0"
        return [
            *(
                self._part(name, ["-m", "ingress"], Stage.DOOR, door, options.base_url)
                for name in _names("ingress", options.ingress)
            ),
            *self._workers("text-worker", options.text_workers, _of(lanes, TEXT)),
            *self._workers("media-worker", 1, _of(lanes, MEDIA)),
            *self._long(_of(lanes, LONG)),
            self._part(
                "log-and-batches",
                ["-m", "ingress.log_and_batches"],
                Stage.DOOR,
                {"PENSTOCK_LOG_DOOR_INSTANCE": "log-door", "PENSTOCK_BATCHES_INSTANCE": "batches"},
                "submissions through Kafka, and batches",
            ),
            *(
                self._part(name, ["-m", "streams"], Stage.WORK, {"PENSTOCK_STREAMS_INSTANCE": name}, "usage to ledger")
                for name in _names("streams", options.streams)
            ),
        ]

    def _workers(self, name: str, count: int, lanes: Sequence[str]) -> list[Part]:
        """A pool of workers, each of which serves all of these lanes; none where there is no lane."""
        work = ["-m", "workers", *(word for lane in lanes for word in ("--lane", lane))]
        served = f"lanes {', '.join(lanes)}"
        return [
            self._part(each, work, Stage.WORK, {"PENSTOCK_WORKER_NAME": each}, served)
            for each in _names(name, count if lanes else 0)
        ]

    def _long(self, lanes: Sequence[str]) -> list[Part]:
        """What dispatches these lanes' jobs and does their steps; nothing where there is no lane."""
        if not lanes:
            return []
        work = ["-m", "workers.long_jobs", *(word for lane in lanes for word in ("--lane", lane))]
        named = {"PENSTOCK_WORKER_NAME": "dispatcher"}
        return [self._part("long-jobs", work, Stage.WORK, named, f"lanes {', '.join(lanes)}")]

    def _part(self, name: str, command: Sequence[str], stage: Stage, own: Mapping[str, str], what: str) -> Part:
        env = {**self._environment(), **own, "PENSTOCK_METRICS_PORT": str(free_port())}
        what = f"{what}, metrics http://127.0.0.1:{env['PENSTOCK_METRICS_PORT']}/metrics"
        log = self._options.logs / f"{name}.log"
        return Part(name, what, stage, partial(start_part, name, command, log, env))

    def _environment(self) -> dict[str, str]:
        # The embedded server is this machine's own, whatever another one asks for.
        embedded = {"PENSTOCK_KAFKA_SECURITY": "plaintext"} if self._options.kafka is None else {}
        return {
            **embedded,
            "PENSTOCK_KAFKA": self._kafka,
            "PENSTOCK_REDIS": self._redis,
            "PENSTOCK_DATABASE": self._options.database_url,
            "PENSTOCK_OBJECTS": self._options.object_storage,
            "PENSTOCK_PUBLIC_URL": self._options.public_url or self._options.base_url.removesuffix("/v1"),
            "PENSTOCK_CATALOG": self._catalog,
            "PENSTOCK_DRAIN_S": str(DRAIN_S),
        }


@asynccontextmanager
async def running_stack(options: StackOptions, tell: Tell, progress: Progress) -> AsyncIterator[Run]:
    """A stack that is ready, kept running inside the block and stopped after it; raises StartFailed."""
    with claim(options.data):
        if not is_free(options.port, options.host):
            raise StartFailed(f"port {options.port} of {options.host} is taken: choose another with --port")
        stack = Stack(options, tell)
        try:
            await stack.start(progress)
            yield stack.run()
        finally:
            await stack.stop()


def _of(lanes: Sequence[str], modalities: Sequence[str]) -> list[str]:
    return [lane for lane in lanes if lane.partition(".")[0] in modalities]


def _names(part: str, count: int) -> list[str]:
    return [part] if count == 1 else [f"{part}-{number}" for number in range(1, count + 1)]
