from ipaddress import ip_address

import msgspec
import pytest

from ingress.auth import authorize, credential
from schemas.access import AccessKey, Limits
from schemas.errors import Forbidden, PenstockError, Unauthenticated

NOW_MS = 1_700_000_000_000
HOME = ip_address("192.0.2.1")
KEY = AccessKey(
    id="key_1",
    account="acme",
    name="k",
    models=None,
    networks=(),
    created_at_ms=0,
    expires_at_ms=None,
    revoked_at_ms=None,
    limits=Limits(),
    model_limits={},
)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer sk-1"},
        {"authorization": "bearer   sk-1 "},
        {"authorization": "BEARER sk-1"},
        {"x-api-key": "sk-1"},
        {"x-api-key": " sk-1 "},
        {"authorization": "Bearer sk-1", "x-api-key": "sk-1"},
        {"authorization": "Basic dXNlcjpwYXNz", "x-api-key": "sk-1"},
        {"authorization": "Bearer ", "x-api-key": "sk-1"},
    ],
)
def test_both_headers_carry_the_secret(headers: dict[str, str]) -> None:
    assert credential(headers) == "sk-1"


@pytest.mark.parametrize(
    ("headers", "hint"),
    [
        ({}, "Send it as"),
        ({"authorization": ""}, "Send it as"),
        ({"authorization": "Bearer"}, "Send it as"),
        ({"authorization": "sk-1"}, "Send it as"),
        ({"authorization": "Basic dXNlcjpwYXNz"}, "Send it as"),
        ({"authorization": "Bearer sk-1", "x-api-key": "sk-2"}, "Send one of them"),
    ],
)
def test_a_request_without_one_clear_secret_is_told_what_to_send(headers: dict[str, str], hint: str) -> None:
    with pytest.raises(Unauthenticated, match=hint):
        credential(headers)


@pytest.mark.parametrize(
    ("changes", "model", "client", "refusal"),
    [
        ({}, "m", "192.0.2.1", None),
        ({}, None, "192.0.2.1", None),
        ({"revoked_at_ms": NOW_MS - 1}, "m", "192.0.2.1", Unauthenticated),
        ({"expires_at_ms": NOW_MS + 1}, "m", "192.0.2.1", None),
        ({"expires_at_ms": NOW_MS}, "m", "192.0.2.1", Unauthenticated),
        ({"models": ("m", "k")}, "m", "192.0.2.1", None),
        ({"models": ("k",)}, "m", "192.0.2.1", Forbidden),
        ({"models": ()}, "m", "192.0.2.1", Forbidden),
        ({"models": ("k",)}, None, "192.0.2.1", None),
        ({"networks": ("192.0.2.0/24",)}, "m", "192.0.2.1", None),
        ({"networks": ("192.0.2.0/24",)}, "m", "192.0.3.1", Forbidden),
        ({"networks": ("192.0.2.0/24",)}, "m", "2001:db8::1", Forbidden),
        ({"networks": ("192.0.2.0/24", "2001:db8::/32")}, "m", "2001:db8::1", None),
        ({"networks": ("192.0.2.0/24",)}, None, "192.0.3.1", Forbidden),
    ],
)
def test_a_key_opens_what_it_is_for(
    changes: dict[str, object], model: str | None, client: str, refusal: type[PenstockError] | None
) -> None:
    key = msgspec.structs.replace(KEY, **changes)
    if refusal is None:
        authorize(key, model, ip_address(client), NOW_MS)
        return
    with pytest.raises(refusal):
        authorize(key, model, ip_address(client), NOW_MS)


def test_a_refusal_names_the_model_and_the_address() -> None:
    with pytest.raises(Forbidden, match="'big-model'"):
        authorize(msgspec.structs.replace(KEY, models=()), "big-model", HOME, NOW_MS)
    with pytest.raises(Forbidden, match=r"192\.0\.2\.1"):
        authorize(msgspec.structs.replace(KEY, networks=("10.0.0.0/8",)), None, HOME, NOW_MS)
