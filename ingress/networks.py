"""Which address a request comes from."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

SAME_MACHINE: Final = IPv4Address("127.0.0.1")
"""Who comes through a Unix socket has no address, and is on this machine."""


def client_address(
    scope_client: tuple[str, int] | None, forwarded_for: str | None, trusted: Sequence[Network]
) -> Address:
    """The nearest address that is no trusted proxy's.

    X-Forwarded-For is read from its right end and only as far as each hop was written by a trusted proxy, so what a
    client puts into it itself is never believed. A hop that cannot be read ends the walk at the proxy that wrote it.
    Raises ValueError when the server gave something that is no IP address.
    """
    address = SAME_MACHINE if scope_client is None else _plain(ip_address(scope_client[0]))
    if not forwarded_for or not trusted:
        return address
    rest = forwarded_for
    while rest and is_within(address, trusted):
        rest, _, hop = rest.rpartition(",")
        found = _hop(hop)
        if found is None:
            break
        address = found
    return address


def is_within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _hop(text: str) -> Address | None:
    """One entry of the header: an address, which some proxies write with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return _plain(ip_address(text))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """An IPv4 address that a dual-stack socket wrote as IPv6 is an IPv4 address."""
    return getattr(address, "ipv4_mapped", None) or address
