"""The ingress process: `python -m ingress`."""

import asyncio
import logging
import math
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop
from fastapi import FastAPI

from ingress.app import create_app
from ingress.door import Door
from ingress.protocol import bounded
from ingress.settings import IngressSettings
from schemas.errors import InvalidValue, Undecidable
from storage.catalog import CatalogError
from storage.heap import freeze_heap
from storage.observe.exposition import exposed
from storage.observe.logging import configure
from storage.ready import notify_ready
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser
from storage.settings_read import read_settings

KEEP_ALIVE_S = 75
"""Longer than a load balancer's idle time, so that it is never the ingress that closes first."""

BACKLOG = 2048
VANISHED_AFTER_S = 30
"""A client that has been silent for this long is asked by the kernel whether it is still there."""

FILES_BESIDE = 1024
"""Open files besides the requests' connections: idle ones, those about to be refused, and the process's own."""

log = logging.getLogger("ingress")


class Server(uvicorn.Server):
    """Leaves signals to `_serve`: uvicorn would raise them again before the door is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def main() -> int:
    parser("python -m ingress", __doc__, [StorageSettings, IngressSettings, ObserveSettings]).parse_args()
    configure("ingress", ObserveSettings.model_construct())
    try:
        observe = read_settings(ObserveSettings)
        configure("ingress", observe)
        storage, settings = read_settings(StorageSettings), read_settings(IngressSettings)
    except InvalidValue as failure:
        return _ends("ingress_cannot_be_configured", failure)
    _allow_files(settings.max_open_requests + FILES_BESIDE)
    try:
        listener = _listen(settings)
    except OSError as failure:
        return _ends("ingress_cannot_listen", failure)
    try:
        uvloop.run(_serve(listener, Door(storage, settings, observe), observe))
    except (CatalogError, InvalidValue, Undecidable) as failure:
        return _ends("ingress_cannot_start", failure)
    return 0


async def _serve(listener: socket.socket, door: Door, observe: ObserveSettings) -> None:
    """Serves until a signal, then until the open requests are answered or `drain_s` are over."""
    async with door:
        with exposed(observe, lambda: door.ready):
            await _serve_open(listener, door)


async def _serve_open(listener: socket.socket, door: Door) -> None:
    drain_s = door.settings.drain_s
    server = Server(_config(create_app(door), door.settings))
    loop = asyncio.get_running_loop()

    def stop(number: int) -> None:
        server.handle_exit(number, None)
        loop.call_later(drain_s, door.give_up)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    freeze_heap()
    notify_ready()
    await server.serve(sockets=[listener])


def _allow_files(wanted: int) -> None:
    """As many open files as the system lets us have: the usual 1024 would be a silent cap on connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _ends(event: str, failure: Exception) -> int:
    """One line for whoever operates this: the way to the failure is of no use to them."""
    log.critical(event, extra={"reason": str(failure)})
    return 1


def _config(app: FastAPI, settings: IngressSettings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=bounded(settings.body_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        # By then all are answered but those whose clients do not read.
        timeout_graceful_shutdown=math.ceil(settings.drain_s) + 1,
    )


def _listen(settings: IngressSettings) -> socket.socket:
    """A listening socket, whose options the connections it accepts take over."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, VANISHED_AFTER_S)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # What an answer leaves in the kernel's hands is dropped, too, when its client acknowledges nothing.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.stall_s * 1000))
    listener.bind((settings.host, settings.port))
    listener.listen(BACKLOG)
    return listener


if __name__ == "__main__":
    sys.exit(main())
