"""Which addresses a caller's URL may lead to."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def may_lead_to(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether it is on the open Internet, or in a network that the operator allows.

    An IPv4 address inside an IPv6 one is looked at as what it is. What translates to another network (6to4, NAT64,
    Teredo) leads nowhere: nobody here has to go that way.
    """
    inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    address = inner or address
    if any(address in network for network in allowed):
        return True
    if isinstance(address, IPv6Address) and address.sixtofour is not None:
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


def as_address(host: str) -> Address | None:
    """The address that `host` is when it is no name; a zone is left away."""
    try:
        return ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
