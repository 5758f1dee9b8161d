"""A port is taken while somebody listens on it, and not after."""

import socket

import pytest

from storage.local import ports
from storage.local.ports import free_port, is_free


def test_a_port_is_taken_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    # The connection that was closed from here still keeps the port from a server that is not careful.
    assert is_free(port)


def test_a_free_port_is_free() -> None:
    assert is_free(free_port())


def test_no_port_is_given_twice_before_all_have_been(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "OURS", range(15_000, 15_030))
    monkeypatch.setattr(ports, "_given", set())
    free = {port for port in ports.OURS if is_free(port)}
    given = [free_port() for _ in free]
    assert set(given) == free
    assert free_port() in free
