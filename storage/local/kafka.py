"""One node of Apache Kafka, broker and controller in one, with its log in a folder."""

import asyncio
import base64
import json
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from storage.local.child import Child
from storage.local.failure import StartFailed
from storage.local.kafka_program import ENVIRONMENT, KafkaProgram
from storage.local.ports import free_port, is_free

HOST: Final = "127.0.0.1"
READY_S: Final = 30.0
LOOK_S: Final = 0.05
GRACE_S: Final = 5.0
PROBE_GROUP: Final = "penstock.start"

PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=PLAINTEXT://{host}:{broker},CONTROLLER://{host}:{controller}
controller.listener.names=CONTROLLER
log.dirs={log_dirs}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A broker that was killed is let back in when its session has ended: 9 s with the default.
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=250
# One tenant of a small machine: the cleaner alone would take 128 MB of heap.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
background.threads=2
"""


@dataclass(frozen=True)
class Ports:
    broker: int
    controller: int


class KafkaNode:
    """A node whose address stays the same for as long as its folder and nobody else's server let it."""

    def __init__(
        self,
        program: KafkaProgram,
        folder: Path,
        *,
        logs: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        format_with: Sequence[str] = (),
    ) -> None:
        """`settings` are of the server's own properties, and stand before ours; so do arguments of the formatting."""
        self._program = program
        self._settings = settings or {}
        self._format_with = format_with
        self._folder = folder
        self._log = (logs or folder).resolve() / "kafka.log"
        self._ports = self._choose_ports(port)

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._ports.broker}"

    async def start(self, flags: Sequence[str] = ()) -> Child:
        """Returns once topics can be made, messages sent and groups joined; raises StartFailed.

        May be called again after the child has died: what Kafka acknowledged before is there, at the same address.
        """
        properties = self._write_properties()
        await self._format(properties)
        command = self._program.command("kafka.Kafka", str(properties), log=self._log, flags=flags)
        child = await Child.spawn("kafka", command, self._log.with_suffix(".out"), env=ENVIRONMENT)
        try:
            await coordinating(child, HOST, self._ports.broker)
        except BaseException:
            await child.stop(0)
            raise
        return child

    def _choose_ports(self, port: int | None) -> Ports:
        remembered = self._folder / "ports.json"
        if port is not None and not is_free(port):
            raise StartFailed(f"port {port} of {HOST} is taken: give another to Kafka")
        ports = Ports(**json.loads(remembered.read_text())) if remembered.exists() else None
        if ports is None or (port or ports.broker) != ports.broker or not _both_free(ports):
            ports = Ports(port or free_port(), free_port())
        self._folder.mkdir(parents=True, exist_ok=True)
        remembered.write_text(json.dumps(asdict(ports)))
        return ports

    def _write_properties(self) -> Path:
        properties = self._folder.resolve() / "server.properties"
        ours = PROPERTIES.format(
            host=HOST,
            broker=self._ports.broker,
            controller=self._ports.controller,
            log_dirs=self._folder.resolve() / "log",
        )
        given = "".join(
            f"{name}={value.format(broker=self._ports.broker, controller=self._ports.controller)}\n"
            for name, value in self._settings.items()
        )
        properties.write_text(ours + given)
        return properties

    async def _format(self, properties: Path) -> None:
        if (self._folder / "log" / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        arguments = ("format", f"--cluster-id={cluster_id}", f"--config={properties}", "--ignore-formatted")
        command = self._program.command("kafka.tools.StorageTool", *arguments, *self._format_with, log=self._log)
        child = await Child.spawn("kafka", command, self._log.with_suffix(".out"), env=ENVIRONMENT)
        try:
            if await child.wait() != 0:
                raise child.died()
        finally:
            await child.stop(GRACE_S)


async def coordinating(child: Child, host: str, port: int, within_s: float = READY_S) -> None:
    """Wait until the node answers as a broker, and knows who coordinates a group; raises StartFailed."""
    looking = asyncio.create_task(_look(host, port))
    dying = asyncio.create_task(child.wait())
    try:
        await asyncio.wait((looking, dying), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        if dying.done():
            raise child.died()
        if not looking.done():
            raise StartFailed(f"kafka is not ready after {within_s:.0f} s (log: {child.log.with_suffix('.log')})")
        looking.result()
    finally:
        looking.cancel()
        dying.cancel()


async def _look(host: str, port: int) -> None:
    while True:
        # The client complains of a refused connection in its log, so it is made only where there is one.
        with suppress(ConnectionError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            break
        await asyncio.sleep(LOOK_S)
    while not await _coordinates(f"{host}:{port}"):  # noqa: ASYNC110 - another process's state sets no event here
        await asyncio.sleep(LOOK_S)


async def _coordinates(bootstrap: str) -> bool:
    """Whether any group can be joined; the first question makes the topic that groups keep their offsets in."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    try:
        await admin.start()
        await admin.find_coordinator(PROBE_GROUP)
        return True
    except KafkaError:
        return False
    finally:
        await admin.close()


def _both_free(ports: Ports) -> bool:
    return is_free(ports.broker) and is_free(ports.controller)
