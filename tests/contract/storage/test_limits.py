import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest

from schemas.access import Limits
from storage.limits import BUCKET_KEEP_MS, RENEWED_AT_ONCE, LimitStore, Scope, Verdict
from storage.line import Line

MINUTE_S = 60


@pytest.fixture
def store(line: Line) -> LimitStore:
    return LimitStore(line)


@pytest.fixture
def account() -> str:
    return f"account-{secrets.token_hex(4)}"


@pytest.fixture
def rewind(line: Line) -> Callable[[Scope, float], Awaitable[None]]:
    """Makes a scope's bucket as old as if so many seconds had passed."""

    async def back(scope: Scope, seconds: float) -> None:
        bucket = scope.stored_at()[0]
        at_ms = int(await line.call("HGET", bucket, "at_ms"))
        await line.call("HSET", bucket, "at_ms", at_ms - int(seconds * 1000))

    return back


Rewind = Callable[[Scope, float], Awaitable[None]]


def scope(account: str, model: str | None = None, **limits: int) -> Scope:
    return Scope(account, model, Limits(**limits))


async def reserve(
    store: LimitStore, *scopes: Scope, tokens: int = 0, lease: str = "", lease_ms: int = 60_000
) -> Verdict:
    return await store.reserve(scopes, lease or secrets.token_hex(6), lease_ms, tokens)


@pytest.mark.parametrize(
    ("limits", "tokens", "refused"),
    [
        ({"requests_per_min": 10}, 0, "requests"),
        ({"tokens_per_min": 1_000}, 100, "tokens"),
        ({"in_flight": 10}, 0, "in_flight"),
    ],
)
async def test_a_hundred_at_once_never_pass_a_limit(
    redis_url: str, account: str, limits: dict[str, int], tokens: int, refused: str
) -> None:
    """LL#18730: five at once used 663 of 100. Each comes over a connection of its own."""
    lines = [Line(redis_url) for _ in range(10)]
    for line in lines:
        await line.open()
    verdicts = await asyncio.gather(
        *[reserve(LimitStore(lines[i % 10]), scope(account, **limits), tokens=tokens) for i in range(100)]
    )
    assert Counter(v.refused for v in verdicts) == {None: 10, refused: 90}
    for line in lines:
        await line.close()


async def test_what_is_refused_has_cost_nothing_in_any_scope(store: LimitStore, account: str) -> None:
    """LL#39309."""
    whole = scope(account, requests_per_min=100, tokens_per_min=1_000, in_flight=100)
    model = scope(account, "m", tokens_per_min=10)
    for _ in range(50):
        assert (await reserve(store, whole, model, tokens=11)).refused == "tokens"
    verdict = await reserve(store, whole, tokens=0)
    assert (verdict.standings[0].requests_left, verdict.standings[0].tokens_left) == (99, 1_000)
    for _ in range(99):
        assert (await reserve(store, whole)).refused is None


async def test_the_scope_that_refuses_is_named_with_its_wait(store: LimitStore, account: str) -> None:
    whole, model = scope(account, requests_per_min=100), scope(account, "m", requests_per_min=2)
    for _ in range(2):
        await reserve(store, whole, model)
    verdict = await reserve(store, whole, model)
    assert (verdict.refused, verdict.standings[0].scope) == ("requests", model)
    assert verdict.retry_after_ms is not None
    assert MINUTE_S / 2 * 1000 - 1_000 < verdict.retry_after_ms <= MINUTE_S / 2 * 1000


async def test_more_tokens_than_a_minute_allows_will_never_be_granted(store: LimitStore, account: str) -> None:
    verdict = await reserve(store, scope(account, tokens_per_min=100), tokens=101)
    assert (verdict.refused, verdict.retry_after_ms) == ("tokens", None)


@pytest.mark.parametrize("refused", ["requests_per_min", "tokens_per_min", "in_flight"])
async def test_who_is_limited_to_nothing_gets_nothing_however_long_they_wait(
    store: LimitStore, account: str, refused: str
) -> None:
    verdict = await reserve(store, scope(account, **{refused: 0}), tokens=1)
    assert verdict.refused == refused.removesuffix("_per_min")
    assert verdict.retry_after_ms is None


async def test_a_bucket_refills_with_time_and_no_further_than_its_limit(
    store: LimitStore, account: str, rewind: Rewind
) -> None:
    limited = scope(account, tokens_per_min=600)
    assert (await reserve(store, limited, tokens=600)).refused is None
    assert (await reserve(store, limited, tokens=100)).refused == "tokens"
    await rewind(limited, 10)
    verdict = await reserve(store, limited, tokens=100)
    assert verdict.refused is None
    assert 0 <= verdict.standings[0].tokens_left < 10
    await rewind(limited, 3_600)
    assert (await reserve(store, limited, tokens=0)).standings[0].tokens_left == 600


async def test_a_clock_that_went_back_takes_nothing_away(store: LimitStore, account: str, rewind: Rewind) -> None:
    limited = scope(account, requests_per_min=100)
    await reserve(store, limited)
    await rewind(limited, -30)
    assert (await reserve(store, limited)).standings[0].requests_left == 98


async def test_a_lease_that_is_held_takes_nothing_more(store: LimitStore, account: str) -> None:
    """Whoever reserved died, and another process does the same again."""
    whole = scope(account, requests_per_min=1, tokens_per_min=1000, in_flight=1)
    model = scope(account, "m", requests_per_min=2)
    assert (await reserve(store, whole, model, tokens=800, lease="one")).refused is None
    again = await reserve(store, whole, model, tokens=800, lease="one")
    assert (again.refused, [each.requests_left for each in again.standings]) == (None, [0, 1])
    assert 200 <= again.standings[0].tokens_left < 300
    assert (await reserve(store, whole, model)).refused == "requests", "another one is refused still"
    await store.settle((whole, model), "one", 0)
    assert (await reserve(store, whole, model, lease="one")).refused == "requests", "so is one that was settled"


async def test_settling_gives_back_what_was_not_used_and_the_slot(store: LimitStore, account: str) -> None:
    limited = scope(account, tokens_per_min=1_000, in_flight=1)
    await reserve(store, limited, tokens=800, lease="one")
    assert (await reserve(store, limited, tokens=1)).refused == "in_flight"
    await store.settle((limited,), "one", 700)
    verdict = await reserve(store, limited, tokens=0)
    assert (verdict.refused, verdict.standings[0].tokens_left // 10) == (None, 90)


async def test_settling_twice_settles_once(store: LimitStore, account: str) -> None:
    for limits in ({"tokens_per_min": 1_000}, {"tokens_per_min": 1_000, "in_flight": 5}):
        limited = scope(account + str(len(limits)), **limits)
        await reserve(store, limited, tokens=900, lease="one")
        for _ in range(3):
            await store.settle((limited,), "one", 400)
        verdict = await reserve(store, limited, tokens=0)
        assert 500 <= verdict.standings[0].tokens_left < 550


async def test_settling_what_was_never_reserved_changes_nothing(store: LimitStore, line: Line, account: str) -> None:
    limited = scope(account, tokens_per_min=1_000)
    await store.settle((limited,), "unknown", 500)
    assert await line.call("EXISTS", *limited.stored_at()) == 0


async def test_what_was_used_beyond_the_reservation_is_owed(store: LimitStore, account: str, rewind: Rewind) -> None:
    limited = scope(account, tokens_per_min=1_000)
    await reserve(store, limited, tokens=1_000, lease="one")
    await store.settle((limited,), "one", -1_000)
    verdict = await reserve(store, limited, tokens=1)
    assert verdict.refused == "tokens"
    assert verdict.retry_after_ms is not None
    assert MINUTE_S * 1000 - 1_000 < verdict.retry_after_ms <= MINUTE_S * 1000 + 60
    await rewind(limited, 61)
    assert (await reserve(store, limited, tokens=1)).refused is None


async def test_a_debt_is_kept_until_it_is_paid(store: LimitStore, line: Line, account: str) -> None:
    """Ten minutes' worth, on a bucket that has long been forgotten when the job ends."""
    limited = scope(account, tokens_per_min=1_000)
    bucket = limited.stored_at()[0]
    await reserve(store, limited, tokens=0, lease="one")
    await line.call("DEL", bucket)
    await store.settle((limited,), "one", -11_000)
    assert await line.call("PTTL", bucket) > 10 * MINUTE_S * 1000
    assert (await reserve(store, limited, tokens=1)).refused == "tokens"


async def test_settling_after_the_bucket_is_forgotten_gives_no_more_than_a_full_one(
    store: LimitStore, line: Line, account: str
) -> None:
    limited = scope(account, tokens_per_min=1_000, in_flight=2)
    await reserve(store, limited, tokens=1_000, lease="one")
    await line.call("DEL", limited.stored_at()[0])
    await store.settle((limited,), "one", 1_000)
    verdict = await reserve(store, limited, tokens=0)
    assert verdict.standings[0].tokens_left == 1_000
    assert (await reserve(store, limited, tokens=1_001)).refused == "tokens"


async def test_a_crash_leaks_no_slot(store: LimitStore, account: str) -> None:
    limited = scope(account, in_flight=2)
    for _ in range(2):
        assert (await reserve(store, limited, lease_ms=80)).refused is None
    assert (await reserve(store, limited)).refused == "in_flight"
    started = time.perf_counter()
    while (await reserve(store, limited)).refused is not None:
        assert time.perf_counter() - started < 2
        await asyncio.sleep(0.01)


async def test_a_lease_that_is_renewed_lasts_in_every_scope(store: LimitStore, line: Line, account: str) -> None:
    scopes = (scope(account, in_flight=1), scope(account, "m", in_flight=1))
    await store.reserve(scopes, "one", 1_000, 0)
    await store.renew({"one": scopes}, 60_000)
    now_s, _ = await line.call("TIME")
    for each in scopes:
        leases = each.stored_at()[1]
        assert float(await line.call("ZSCORE", leases, "one")) > (int(now_s) + 50) * 1000
        assert await line.call("PTTL", leases) > 50_000
        assert (await reserve(store, each)).refused == "in_flight"


async def test_what_was_settled_is_not_renewed(store: LimitStore, line: Line, account: str) -> None:
    """Its settlement's reply may have been lost, so that its process holds it still."""
    limited = scope(account, tokens_per_min=1_000, in_flight=2)
    await reserve(store, limited, tokens=600, lease="one")
    await reserve(store, limited, tokens=0, lease="two")
    await store.settle((limited,), "one", 100)
    await store.renew({"one": (limited,), "two": (limited,)}, 60_000)
    assert await line.call("ZRANGE", limited.stored_at()[1], 0, -1) == [b"two"]
    await store.settle((limited,), "one", 100)
    assert (await reserve(store, limited)).standings[0].tokens_left in range(500, 520)


async def test_many_leases_are_renewed_without_anybody_waiting_long(
    store: LimitStore, line: Line, account: str
) -> None:
    limited = scope(account)
    held = {f"{number}": (limited,) for number in range(2 * RENEWED_AT_ONCE + 1)}
    await asyncio.gather(*[store.reserve(scopes, lease, 1_000, 0) for lease, scopes in held.items()])
    await store.renew(held, 60_000)
    now_s, _ = await line.call("TIME")
    assert await line.call("ZCOUNT", limited.stored_at()[1], (int(now_s) + 50) * 1000, "+inf") == len(held)


async def test_a_renewal_does_not_end_a_longer_lease(store: LimitStore, line: Line, account: str) -> None:
    """A background job's, which no process renews."""
    limited = scope(account, in_flight=5)
    await reserve(store, limited, lease="long", lease_ms=60_000)
    await reserve(store, limited, lease="short", lease_ms=1_000)
    await store.renew({"short": (limited,)}, 2_000)
    assert await line.call("PTTL", limited.stored_at()[1]) > 50_000


async def test_a_short_lease_does_not_end_a_long_one(store: LimitStore, line: Line, account: str) -> None:
    """LL#27955: the key's life is that of its longest lease, whoever comes first."""
    for first, second in ((60_000, 100), (100, 60_000)):
        limited = scope(account + str(first), in_flight=2)
        leases = limited.stored_at()[1]
        await reserve(store, limited, lease_ms=first)
        await reserve(store, limited, lease_ms=second)
        assert await line.call("PTTL", leases) > 59_000
        await asyncio.sleep(0.15)
        assert (await reserve(store, limited)).refused is None
        assert (await reserve(store, limited)).refused == "in_flight"


async def test_a_limit_that_is_set_later_starts_full(store: LimitStore, account: str) -> None:
    await reserve(store, scope(account, requests_per_min=5), tokens=10)
    verdict = await reserve(store, scope(account, tokens_per_min=1_000), tokens=1_000)
    assert verdict.refused is None
    verdict = await reserve(store, scope(account, requests_per_min=5, tokens_per_min=1_000))
    assert (verdict.refused, verdict.standings[0].requests_left) == (None, 4)


async def test_a_limit_that_is_lowered_binds_at_once(store: LimitStore, account: str) -> None:
    await reserve(store, scope(account, requests_per_min=1_000))
    assert (await reserve(store, scope(account, requests_per_min=10))).standings[0].requests_left == 9


async def test_without_limits_all_is_granted_and_nothing_piles_up(store: LimitStore, line: Line, account: str) -> None:
    unlimited = scope(account)
    for i in range(200):
        assert (await reserve(store, unlimited, tokens=10**9, lease=f"{i}")).refused is None
        await store.settle((unlimited,), f"{i}", 0)
    assert await line.call("EXISTS", unlimited.stored_at()[1]) == 0


async def test_no_key_stays_for_ever(store: LimitStore, line: Line, account: str) -> None:
    limited = scope(account, requests_per_min=10, tokens_per_min=1_000, in_flight=5)
    bucket, leases = limited.stored_at()
    await reserve(store, limited, tokens=10, lease="one", lease_ms=5_000)
    assert 0 < await line.call("PTTL", bucket) <= BUCKET_KEEP_MS
    assert 0 < await line.call("PTTL", leases) <= 5_000
    await reserve(store, limited, tokens=10)
    await store.settle((limited,), "one", 10)
    assert 0 < await line.call("PTTL", bucket) <= BUCKET_KEEP_MS


async def test_all_keys_of_an_account_lie_in_one_slot_of_a_cluster(line: Line, account: str) -> None:
    keys = [*scope(account).stored_at(), *scope(account, "m").stored_at(), *scope(account, "a/b:c").stored_at()]
    slots = [key[key.index("{") + 1 : key.index("}")] for key in map(str, keys)]
    assert set(slots) == {account}


async def test_a_large_number_of_tokens_is_counted_exactly(store: LimitStore, account: str) -> None:
    limited = scope(account, tokens_per_min=2_000_000_000)
    await reserve(store, limited, tokens=1_999_999_999, lease="one")
    await store.settle((limited,), "one", 1_999_999_999)
    assert (await reserve(store, limited, tokens=2_000_000_000)).refused is None
