from ipaddress import ip_address, ip_network

import pytest

from schemas.addresses import as_address, may_lead_to


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700:4700::1111"])
def test_the_open_internet_may_be_led_to(address: str) -> None:
    assert may_lead_to(ip_address(address), [])


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.8.8", "::1"),  # this machine
        *("10.1.2.3", "172.16.0.1", "192.168.1.1", "fc00::1", "fd12:3456::1"),  # private networks
        *("169.254.169.254", "169.254.170.2", "fe80::1", "fd00:ec2::254"),  # link-local: where clouds keep secrets
        *("100.64.0.1", "198.18.0.1", "192.0.0.170"),  # a carrier's, a benchmark's, a protocol's
        *("0.0.0.0", "::", "255.255.255.255", "240.0.0.1"),  # nobody's
        *("224.0.0.1", "239.255.255.250", "ff02::1"),  # everybody's
        *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1"),  # IPv4 in IPv6's clothes
        *("2002:7f00:1::", "64:ff9b::7f00:1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),  # 6to4, NAT64, Teredo
    ],
)
def test_everything_else_may_not(address: str) -> None:
    assert not may_lead_to(ip_address(address), [])


@pytest.mark.parametrize("address", ["10.1.2.3", "::ffff:10.1.2.3"])
def test_an_operator_may_allow_a_network(address: str) -> None:
    assert may_lead_to(ip_address(address), [ip_network("10.1.0.0/16")])
    assert not may_lead_to(ip_address(address), [ip_network("10.2.0.0/16")])


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.0.0.1", "127.0.0.1"), ("[::1]", "::1"), ("fe80::1%eth0", "fe80::1"), ("example.com", None), ("127.1", None)],
)
def test_an_address_is_told_from_a_name(host: str, address: str | None) -> None:
    assert as_address(host) == (None if address is None else ip_address(address))
