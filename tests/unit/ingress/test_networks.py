from ipaddress import ip_address, ip_network

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingress.networks import client_address

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy with other tests."""

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.1/32")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.7, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "192.0.2.7, 198.51.100.1, 10.2.3.4", "198.51.100.1"),
        ("10.0.0.1", "10.9.9.9,10.2.3.4", "10.9.9.9"),
        ("10.0.0.1", "198.51.100.1, unknown", "10.0.0.1"),
        ("10.0.0.1", "unknown, 198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "2001:db8::1", "2001:db8::1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("::1", "198.51.100.1", "::1"),
        (None, "198.51.100.1", "198.51.100.1"),
        (None, None, "127.0.0.1"),
    ],
)
def test_the_client_is_the_nearest_that_is_no_trusted_proxy(
    peer: str | None, forwarded: str | None, client: str
) -> None:
    found = client_address(None if peer is None else (peer, 1), forwarded, PROXIES)
    assert found == ip_address(client)


def test_without_trusted_proxies_the_header_is_never_believed() -> None:
    assert client_address(("10.0.0.1", 1), "198.51.100.1", []) == ip_address("10.0.0.1")


@UNHURRIED
@given(st.text())
def test_whatever_a_client_writes_it_stays_who_it_is(forged: str) -> None:
    assert client_address(("10.0.0.1", 1), f"{forged},203.0.113.9", PROXIES) == ip_address("203.0.113.9")
