"""The ingress process: `python -m ingress`."""

import logging
import socket
import sys

import uvicorn

from ingress.app import create_app
from ingress.settings import IngressSettings
from storage.observe.logging import configure
from storage.settings import ObserveSettings, StorageSettings
from storage.settings_help import parser

KEEP_ALIVE_S = 75
"""Longer than a load balancer's idle time, so that it is never the ingress that closes first."""

BACKLOG = 2048
UNREAD_TIMEOUT_MS = 90_000
"""A client that acknowledges nothing for this long is dropped by the kernel."""

log = logging.getLogger("ingress")


def main() -> int:
    parser("python -m ingress", __doc__, [StorageSettings, IngressSettings, ObserveSettings]).parse_args()
    settings, observe = IngressSettings(), ObserveSettings()
    configure("ingress", observe)
    try:
        listener = _listen(settings)
    except OSError as failure:
        log.error("ingress_cannot_listen", extra={"host": settings.host, "port": settings.port, "reason": str(failure)})
        return 1
    config = uvicorn.Config(
        create_app(StorageSettings(), settings, observe),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, int(settings.drain_s)),
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(settings: IngressSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if settings.reuse_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_MS)
    listener.bind((settings.host, settings.port))
    listener.listen(BACKLOG)
    return listener


if __name__ == "__main__":
    sys.exit(main())
