import pytest

from schemas.access import Limits
from schemas.errors import InvalidValue
from storage import key_rules

NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize("account", ["default", "a", "Team-7", "jo@example.org", "a" * 128])
def test_accounts_that_may_be(account: str) -> None:
    assert key_rules.checked_account(account) == account


@pytest.mark.parametrize("account", ["", "-a", "a b", "a:b", "a\n", "ä", "a" * 129])
def test_accounts_that_may_not_be(account: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_account(account)
    assert refused.value.param == "account"


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "a" * 101])
def test_names_that_may_not_be(name: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_name(name)
    assert refused.value.param == "name"


@pytest.mark.parametrize(
    ("network", "block"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("192.0.2.0/255.255.255.0", "192.0.2.0/24"),
        ("2001:0db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
    ],
)
def test_networks_are_kept_in_their_usual_notation(network: str, block: str) -> None:
    assert key_rules.checked_networks([network]) == [block]


@pytest.mark.parametrize("network", ["", "10.0.0.1/8", "10.0.0.0/33", "example.org", "10.0.0"])
def test_networks_that_may_not_be(network: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_networks(["10.0.0.0/8", network])
    assert refused.value.param == "networks"


@pytest.mark.parametrize("models", [[], [""], ["a b"], ["a\n"]])
def test_scopes_that_may_not_be(models: list[str]) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_models(models)
    assert refused.value.param == "models"


@pytest.mark.parametrize("expires_at_ms", [0, -1, NOW_MS - 1, NOW_MS, 2**63])
def test_expiries_that_may_not_be(expires_at_ms: int) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_expiry(expires_at_ms, now_ms=NOW_MS)
    assert refused.value.param == "expires_at_ms"


@pytest.mark.parametrize(
    ("limits", "param"),
    [
        (Limits(requests_per_min=-1), "requests_per_min"),
        (Limits(tokens_per_min=2**60), "tokens_per_min"),
        (Limits(in_flight=-5), "in_flight"),
    ],
)
def test_limits_that_may_not_be(limits: Limits, param: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        key_rules.checked_limits(limits)
    assert refused.value.param == param
