"""TCP ports of this machine."""

import random
import socket
from typing import Final

OURS: Final = range(15_000, 32_000)
"""Below the ports that systems give to outgoing connections: one of those may be gone before a server has bound it."""


_given: set[int] = set()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on at this moment, and that two callers are not given at once.

    Within a process none is given twice before all have been; two processes are not likely to be given the same.
    """
    while True:
        if _given.issuperset(OURS):
            _given.clear()
        port = random.choice(OURS)
        if port not in _given:
            _given.add(port)
            if is_free(port, host):
                return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """True if a server could listen there; one that has just closed its connections could."""
    with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
