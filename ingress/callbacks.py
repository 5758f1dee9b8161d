"""URLs that callers want to be told at: which are refused at the door."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, urlsplit

from schemas.addresses import Network, as_address, may_lead_to
from schemas.errors import InvalidValue

PARAM: Final = "webhook_url"
HERE: Final = ("localhost", "local", "internal")
"""Last words of names that no public server has. Where another name leads is seen when it is called."""


def check_callback(url: str, allowed: Sequence[Network], *, http: bool) -> str:
    """The URL, if it may be called as far as it tells by itself. Raises InvalidValue."""
    schemes = ("https", "http") if http else ("https",)
    parts = _parts(url)
    if parts is None or parts.scheme not in schemes or not parts.hostname or not url.isprintable() or " " in url:
        raise _refused(f"should be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if parts.username is not None or parts.password is not None:
        raise _refused("holds a name or password; a webhook is known by its signature")
    address = as_address(parts.hostname)
    if address is None:
        last = parts.hostname.rstrip(".").rpartition(".")[2]
        private = not allowed and (last in HERE or _is_number(last))
    else:
        private = not may_lead_to(address, allowed)
    if private:
        raise _refused("leads to an address that is not on the public Internet")
    return url


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_number(last: str) -> bool:
    """Whether resolvers take a name that ends so for an address, as they do 127.1 or 0x7f000001."""
    return last.isdecimal() or last.lower().startswith("0x")


def _refused(words: str) -> InvalidValue:
    return InvalidValue(f"'{PARAM}' {words}.", param=PARAM)
