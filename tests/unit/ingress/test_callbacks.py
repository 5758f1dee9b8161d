"""Which URLs a caller may want to be told at."""

from ipaddress import ip_network

import pytest

from ingress.callbacks import check_callback
from schemas.errors import InvalidValue

INSIDE = [ip_network("10.1.0.0/16")]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/hook",
        "https://example.com:8443/hook?token=a%20b#part",
        "https://sub.example.co.uk",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1:248:1893:25c8:1946]/",
    ],
)
def test_public_addresses_are_taken(url: str) -> None:
    assert check_callback(url, [], http=False) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "http://example.com/hook",
        "ftp://example.com/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "https://example.com:port/",
        "https://exa mple.com/",
        "https://example.com/\nhost: other",
        "https://user@example.com/",
        "https://user:word@example.com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0/",
        "https://10.1.2.3/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fe80::1%25eth0]/",
        "https://[64:ff9b::a00:1]/",
        "https://localhost/",
        "https://localhost./",
        "https://api.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
    ],
)
def test_what_is_not_public_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        check_callback(url, [], http=False)
    assert refused.value.param == "webhook_url"


def test_networks_of_ones_own_are_opened_one_by_one() -> None:
    assert check_callback("https://10.1.2.3/", INSIDE, http=False)
    assert check_callback("http://10.1.2.3/", INSIDE, http=True)
    for url in ("https://10.2.0.1/", "https://127.0.0.1/", "http://10.1.2.3/"):
        with pytest.raises(InvalidValue):
            check_callback(url, INSIDE, http=False)
