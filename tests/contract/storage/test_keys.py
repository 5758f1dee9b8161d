import hashlib
import time

import pytest

from schemas.access import Limits
from schemas.errors import InvalidValue
from storage.database import Database
from storage.keys import KeyStore, hash_secret

HOUR_MS = 3_600_000


@pytest.fixture
def keys(database: Database) -> KeyStore:
    return KeyStore(database)


async def test_a_key_is_found_by_the_hash_of_its_secret_and_by_nothing_else(keys: KeyStore) -> None:
    new = await keys.create("acme", "laptop")
    assert new.secret.startswith("sk-ps-")
    assert len(new.secret) >= len("sk-ps-") + 22
    assert await keys.find(hashlib.sha256(new.secret.encode()).hexdigest()) == new.key
    assert await keys.find(hash_secret(new.secret + "x")) is None
    assert await keys.find(new.secret) is None


async def test_a_key_comes_back_with_all_it_was_made_with(keys: KeyStore) -> None:
    expires_at_ms = time.time_ns() // 1_000_000 + HOUR_MS
    new = await keys.create(
        "acme",
        "ci",
        models=["b", "a", "b"],
        networks=["10.0.0.0/8", "2001:DB8::1"],
        expires_at_ms=expires_at_ms,
    )
    found = await keys.find(hash_secret(new.secret))
    assert found is not None
    assert (found.account, found.name, found.models) == ("acme", "ci", ("a", "b"))
    assert found.networks == ("10.0.0.0/8", "2001:db8::1/128")
    assert (found.expires_at_ms, found.revoked_at_ms) == (expires_at_ms, None)
    assert expires_at_ms - HOUR_MS <= found.created_at_ms <= time.time_ns() // 1_000_000


async def test_a_key_without_models_opens_all(keys: KeyStore) -> None:
    assert (await keys.create("acme", "laptop")).key.models is None


async def test_keys_are_listed_oldest_first_and_by_account(keys: KeyStore) -> None:
    for account, name in (("acme", "one"), ("other", "two"), ("acme", "three")):
        await keys.create(account, name)
    assert {key.name for key in await keys.list()} == {"one", "two", "three"}
    assert {key.name for key in await keys.list("acme")} == {"one", "three"}
    created = [key.created_at_ms for key in await keys.list()]
    assert created == sorted(created)
    assert await keys.list("nobody") == []


async def test_a_revoked_key_is_still_found_and_says_so(keys: KeyStore) -> None:
    new = await keys.create("acme", "lost")
    assert await keys.revoke(new.key.id)
    found = await keys.find(hash_secret(new.secret))
    assert found is not None
    assert found.revoked_at_ms is not None
    assert not await keys.revoke(new.key.id)
    assert not await keys.revoke("key_unknown")


async def test_a_key_is_open_until_it_is_revoked(keys: KeyStore) -> None:
    new, other = await keys.create("acme", "lost"), await keys.create("acme", "kept")
    assert await keys.is_open(new.key.id)
    await keys.revoke(new.key.id)
    assert not await keys.is_open(new.key.id)
    assert await keys.is_open(other.key.id)
    assert not await keys.is_open("key_unknown")


async def test_limits_are_the_accounts_and_reach_all_its_keys(keys: KeyStore) -> None:
    one, two = await keys.create("acme", "one"), await keys.create("acme", "two")
    other = await keys.create("other", "three")
    changed = await keys.set_limits("acme", Limits(requests_per_min=60, in_flight=4))
    assert set(changed) == {one.key.id, two.key.id}
    await keys.set_limits("acme", Limits(tokens_per_min=1000), model="m")
    await keys.set_limits("acme", Limits(tokens_per_min=2000), model="m")
    for new in (one, two):
        found = await keys.find(hash_secret(new.secret))
        assert found is not None
        assert found.limits == Limits(requests_per_min=60, in_flight=4)
        assert found.model_limits == {"m": Limits(tokens_per_min=2000)}
    untouched = await keys.find(hash_secret(other.secret))
    assert untouched is not None
    assert (untouched.limits, untouched.model_limits) == (Limits(), {})


async def test_limits_set_before_the_first_key_hold_for_it(keys: KeyStore) -> None:
    assert await keys.set_limits("acme", Limits(in_flight=1)) == []
    assert (await keys.create("acme", "first")).key.limits == Limits(in_flight=1)


async def test_a_refused_key_leaves_nothing_behind(keys: KeyStore) -> None:
    with pytest.raises(InvalidValue) as refused:
        await keys.create("acme", "laptop", networks=["10.0.0.1/8"])
    assert refused.value.param == "networks"
    assert await keys.list() == []
