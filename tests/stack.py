"""A whole Penstock for a test: real Kafka, Valkey, ingress, worker and streams, and a scripted upstream.

Its parts are processes that a test may kill and start again by name.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from penstock.part import start_part
from schemas.catalog import Catalog
from schemas.topics import platform_topics
from storage.catalog import load_catalog
from storage.local.child import Child
from storage.local.kafka import KafkaNode
from storage.local.kafka_program import KafkaProgram
from storage.local.ports import free_port
from storage.local.valkey import ValkeyServer
from storage.migrate import migrate
from storage.topics import make_topics
from tests.running import WAIT_S, Running, until
from tests.upstream import Upstream

__all__ = ["WAIT_S", "Stack", "running_stack", "scripted_row", "until"]

STOP_S: Final = 10.0

COMMANDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ingress": ("-m", "ingress"),
    "worker": ("-m", "workers", "--lane", "text.default"),
    "narrow": ("-m", "workers", "--lane", "text.narrow"),
    "embedded": ("-m", "workers", "--lane", "text.embedded"),
    "media": (
        *("-m", "workers", "--lane", "embedding.default", "--lane", "embedding.embedded"),
        *("--lane", "speech.default", "--lane", "speech.embedded"),
        *("--lane", "image.default", "--lane", "image.embedded"),
    ),
    "builtin": (
        *("-m", "workers", "--lane", "embedding.embedded"),
        *("--lane", "speech.embedded", "--lane", "image.embedded"),
    ),
    "dispatcher": ("-m", "workers.dispatch"),
    "jobs": ("-m", "workers.jobs_worker"),
    "streams": ("-m", "streams"),
    "logdoor": ("-m", "ingress.log_door"),
    "batches": ("-m", "ingress.batches"),
}


class Stack(Running):
    """The parts by name; `kafka` and `valkey` are the servers, `upstream` is what the model `scripted` runs on."""

    def __init__(
        self, folder: Path, program: KafkaProgram, upstream: Upstream, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        self.folder = folder
        self.upstream = upstream
        self._catalog_file = folder / "catalog.yaml"
        self._catalog_file.write_text(yaml.safe_dump({"models": [scripted_row(upstream.url, **row) for row in rows]}))
        self._kafka = KafkaNode(program, folder / "kafka")
        self._valkey = ValkeyServer(folder / "valkey")
        self._children: dict[str, Child] = {}
        self._port = free_port()
        self.objects = folder / "objects"
        super().__init__(f"http://127.0.0.1:{self._port}", self._valkey.url, f"sqlite:///{folder}/penstock.db")

    @property
    def bootstrap(self) -> str:
        return self._kafka.bootstrap

    @property
    def catalog(self) -> Catalog:
        return load_catalog([self._catalog_file])

    async def start(self, name: str, **env: str) -> None:
        """Starts a part, as `worker` or, for another of its kind, `worker-2`; returns when it takes work."""
        if name == "kafka":
            self._children[name] = await self._kafka.start()
        elif name == "valkey":
            self._children[name] = await self._valkey.start()
        else:
            command = self._command(name.partition("-")[0])
            log = self.folder / f"{name}.log"
            self._children[name] = await start_part(name, command, log, {**self._environment(name), **env})

    async def start_door(self, name: str, **env: str) -> str:
        """Starts an ingress at an address of its own, which is returned."""
        port = free_port()
        await self.start(name, PENSTOCK_PORT=str(port), **env)
        return f"http://127.0.0.1:{port}"

    async def kill(self, name: str) -> None:
        """kill -9."""
        self.signal(name, signal.SIGKILL)
        await self.ended(name)

    def peak_bytes(self, name: str) -> int:
        """The most memory that a part has had at once."""
        status = Path(f"/proc/{self._children[name].pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._children[name].pid, number)

    async def ended(self, name: str) -> int:
        """The exit status of a part that was told to end."""
        async with asyncio.timeout(WAIT_S):
            return await self._children.pop(name).wait()

    async def mend(self, *parts: str) -> None:
        """Back to exactly these parts and the servers, whatever a test has done."""
        for name in [n for n in self._children if n not in {*parts, "kafka", "valkey"}]:
            await self.stop(name)
        for name in [n for n in ("kafka", "valkey", *parts) if not self.runs(n)]:
            self._children.pop(name, None)
            await self.start(name)

    def runs(self, name: str) -> bool:
        return name in self._children and self._children[name].running

    async def stop(self, name: str) -> None:
        await self._children.pop(name).stop(STOP_S)

    async def stop_all(self) -> None:
        for name in ["ingress", "worker", "streams", *list(self._children)]:
            for running in [n for n in self._children if n.partition("-")[0] == name.partition("-")[0]]:
                await self.stop(running)

    def log(self, name: str) -> str:
        """What a part has logged; nothing if it never ran."""
        file = self.folder / f"{name}.log"
        return file.read_text() if file.exists() else ""

    async def log_count(self, name: str, event: str) -> int:
        """How often a part has logged this event."""
        return self.log(name).count(f'"event": "{event}"')

    def _command(self, kind: str) -> tuple[str, ...]:
        """The dispatcher has every lane of long jobs that the catalogue knows."""
        if kind != "dispatcher":
            return COMMANDS[kind]
        lanes = sorted(lane for lane in self.catalog.lanes() if lane.startswith(("video.", "invoke.")))
        return (*COMMANDS[kind], *(word for lane in lanes for word in ("--lane", lane)))

    def _environment(self, name: str) -> dict[str, str]:
        return {
            "PENSTOCK_KAFKA": self.bootstrap,
            "PENSTOCK_REDIS": self.redis_url,
            "PENSTOCK_DATABASE": self.database_url,
            "PENSTOCK_OBJECTS": str(self.objects),
            "PENSTOCK_PUBLIC_URL": self.url,
            "PENSTOCK_CATALOG": str(self._catalog_file),
            "PENSTOCK_PORT": str(self._port),
            "PENSTOCK_REUSE_PORT": "1",
            "PENSTOCK_WORKER_NAME": name,
            "PENSTOCK_LOG_DOOR_INSTANCE": name,
            "PENSTOCK_BATCHES_INSTANCE": name,
            "PENSTOCK_DATA": str(self.folder),
        }


def scripted_row(url: str, **fields: Any) -> dict[str, Any]:
    """A catalogue row for the scripted upstream, which answers at once or fails at once."""
    return {
        "id": "scripted",
        "engine": "openai_compatible",
        "base_url": url,
        "context_tokens": 8192,
        "max_output_tokens": 1024,
        "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        **fields,
    }


@asynccontextmanager
async def running_stack(
    folder: Path, program: KafkaProgram, *parts: str, rows: Sequence[Mapping[str, Any]] = (), **env: str
) -> AsyncIterator[Stack]:
    """A stack with these parts, by default one of each; `rows` are what further models have of their own."""
    async with Upstream() as upstream:
        stack = Stack(folder, program, upstream, [{}, *rows])
        try:
            await asyncio.gather(stack.start("kafka"), stack.start("valkey"))
            await asyncio.to_thread(migrate, stack.database_url)
            lanes = stack.catalog.lanes()
            await make_topics(stack.bootstrap, platform_topics(lanes, lane_partitions=4))
            await asyncio.gather(*[stack.start(part, **env) for part in parts or ("ingress", "worker", "streams")])
            yield stack
        finally:
            await stack.stop_all()
