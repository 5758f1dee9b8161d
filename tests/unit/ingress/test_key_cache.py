import asyncio
import hashlib

import msgspec
import pytest

from ingress import key_cache
from ingress.auth import KeyCache
from schemas.access import AccessKey, Limits
from schemas.errors import Unauthenticated, Undecidable

TTL_S, NEGATIVE_TTL_S, CAPACITY = 60.0, 5.0, 3


def key(key_id: str, *, revoked_at_ms: int | None = None) -> AccessKey:
    return AccessKey(
        id=key_id,
        account="acme",
        name=key_id,
        models=None,
        networks=(),
        created_at_ms=0,
        expires_at_ms=None,
        revoked_at_ms=revoked_at_ms,
        limits=Limits(),
        model_limits={},
    )


class Store:
    """A database of keys that can be counted, held back and taken away; `crowded` once `crowd` ask it at once."""

    def __init__(self) -> None:
        self.rows: dict[str, AccessKey] = {}
        self.asked: list[str] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        self.running = 0
        self.most_running = 0
        self.crowd = 1
        self.crowded = asyncio.Event()

    def add(self, secret: str, row: AccessKey) -> None:
        self.rows[hashlib.sha256(secret.encode()).hexdigest()] = row

    async def find(self, digest: str) -> AccessKey | None:
        self.asked.append(digest)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        if self.running == self.crowd:
            self.crowded.set()
        try:
            if self.failure is not None:
                raise self.failure
            row = self.rows.get(digest)
            await self.open.wait()
            return row
        finally:
            self.running -= 1


class World:
    """A store, a clock that stands still until told, and a cache before them."""

    def __init__(self, load_timeout_s: float = 0.2) -> None:
        self.now_s = 1000.0
        self.store = Store()
        self.cache = KeyCache(
            self.store.find,
            ttl_s=TTL_S,
            negative_ttl_s=NEGATIVE_TTL_S,
            capacity=CAPACITY,
            load_timeout_s=load_timeout_s,
            clock=lambda: self.now_s,
        )

    async def settle(self) -> None:
        """Until no look-up is under way."""
        async with asyncio.timeout(5):
            while self.cache._loads:
                await asyncio.gather(
                    *(load.task for load in self.cache._loads.values() if load.task), return_exceptions=True
                )
                await asyncio.sleep(0)


@pytest.fixture
def world() -> World:
    made = World()
    made.store.add("sk-1", key("key_1"))
    return made


async def test_a_key_is_asked_for_once_and_by_its_hash(world: World) -> None:
    assert [(await world.cache.get("sk-1")).id for _ in range(3)] == ["key_1"] * 3
    assert world.store.asked == [hashlib.sha256(b"sk-1").hexdigest()]


async def test_a_stampede_is_one_look_up(world: World) -> None:
    found = await asyncio.gather(*(world.cache.get("sk-1") for _ in range(100)))
    assert {each.id for each in found} == {"key_1"}
    assert len(world.store.asked) == 1


async def test_a_caller_who_leaves_does_not_take_the_look_up_along(world: World) -> None:
    world.store.open.clear()
    leaver, stayer = (asyncio.create_task(world.cache.get("sk-1")) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    world.store.open.set()
    assert (await stayer).id == "key_1"
    assert leaver.cancelled()
    assert len(world.store.asked) == 1


async def test_an_expired_key_is_served_at_once_while_one_refresh_runs(world: World) -> None:
    await world.cache.get("sk-1")
    world.now_s += TTL_S
    world.store.add("sk-1", msgspec.structs.replace(key("key_1"), name="renamed"))
    world.store.open.clear()
    assert [(await world.cache.get("sk-1")).name for _ in range(10)] == ["key_1"] * 10
    world.store.open.set()
    await world.settle()
    assert (await world.cache.get("sk-1")).name == "renamed"
    assert len(world.store.asked) == 2


async def test_a_key_unused_for_long_is_asked_for_before_it_is_served(world: World) -> None:
    await world.cache.get("sk-1")
    world.now_s += 2 * TTL_S
    world.store.add("sk-1", key("key_1", revoked_at_ms=1))
    assert (await world.cache.get("sk-1")).revoked_at_ms == 1


async def test_a_deleted_key_is_unknown_after_its_refresh(world: World) -> None:
    await world.cache.get("sk-1")
    world.store.rows.clear()
    world.now_s += 2 * TTL_S
    with pytest.raises(Unauthenticated):
        await world.cache.get("sk-1")


@pytest.mark.parametrize("age_s", [TTL_S, 2 * TTL_S, 1000 * TTL_S])
async def test_known_keys_work_while_the_store_is_down(world: World, age_s: float) -> None:
    await world.cache.get("sk-1")
    world.store.failure = ConnectionRefusedError()
    world.now_s += age_s
    for _ in range(50):
        assert (await world.cache.get("sk-1")).id == "key_1"
        await world.settle()
    assert len(world.store.asked) == 2
    world.now_s += key_cache.PAUSE_S
    assert (await world.cache.get("sk-1")).id == "key_1"
    await world.settle()
    assert len(world.store.asked) == 3


async def test_what_was_wrong_is_not_remembered_once_the_store_is_back(world: World) -> None:
    world.store.failure = ConnectionRefusedError()
    with pytest.raises(Undecidable):
        await world.cache.get("sk-1")
    world.store.failure = None
    assert (await world.cache.get("sk-1")).id == "key_1"


@pytest.mark.parametrize("failure", [ConnectionRefusedError(), Undecidable("down"), RuntimeError("bug")])
async def test_an_unknown_key_is_undecidable_and_not_refused_while_the_store_is_down(
    world: World, failure: Exception
) -> None:
    world.store.failure = failure
    with pytest.raises(Undecidable) as caught:
        await world.cache.get("sk-2")
    assert caught.value.__cause__ is failure


async def test_a_store_that_hangs_is_given_up_on(world: World) -> None:
    world.store.open.clear()
    with pytest.raises(Undecidable):
        await world.cache.get("sk-1")
    assert world.store.running == 0


async def test_an_unknown_key_is_remembered_for_a_short_time(world: World) -> None:
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await world.cache.get("sk-2")
    assert len(world.store.asked) == 1
    world.now_s += NEGATIVE_TTL_S
    with pytest.raises(Unauthenticated):
        await world.cache.get("sk-2")
    assert len(world.store.asked) == 2


async def test_a_key_works_at_once_after_its_creation_was_announced(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await world.cache.get("sk-2")
    world.store.add("sk-2", key("key_2"))
    world.cache.forget("key_2")
    assert (await world.cache.get("sk-2")).id == "key_2"


async def test_a_forgotten_key_is_asked_for_again_and_others_are_not(world: World) -> None:
    world.store.add("sk-2", key("key_2"))
    await world.cache.get("sk-1")
    await world.cache.get("sk-2")
    world.store.add("sk-1", key("key_1", revoked_at_ms=1))
    world.cache.forget("key_1")
    assert (await world.cache.get("sk-1")).revoked_at_ms == 1
    assert (await world.cache.get("sk-2")).id == "key_2"
    assert len(world.store.asked) == 3


async def test_a_forgotten_key_is_undecidable_while_the_store_is_down(world: World) -> None:
    await world.cache.get("sk-1")
    world.cache.forget("key_1")
    world.store.failure = ConnectionRefusedError()
    for _ in range(3):
        with pytest.raises(Undecidable):
            await world.cache.get("sk-1")
    world.store.failure = None
    assert (await world.cache.get("sk-1")).id == "key_1"


async def test_a_key_forgotten_while_it_was_being_asked_for_is_asked_for_again(world: World) -> None:
    world.store.open.clear()
    getting = asyncio.create_task(world.cache.get("sk-1"))
    await world.store.crowded.wait()
    world.store.add("sk-1", key("key_1", revoked_at_ms=1))
    world.cache.forget("key_1")
    world.store.open.set()
    assert (await getting).revoked_at_ms == 1


async def test_a_key_created_while_it_was_being_asked_for_is_found(world: World) -> None:
    world.store.open.clear()
    getting = asyncio.create_task(world.cache.get("sk-2"))
    await world.store.crowded.wait()
    world.store.add("sk-2", key("key_2"))
    world.cache.forget("key_2")
    world.store.open.set()
    assert (await getting).id == "key_2"


async def test_after_a_gap_every_key_is_asked_for_if_that_can_be(world: World) -> None:
    await world.cache.get("sk-1")
    world.store.add("sk-1", key("key_1", revoked_at_ms=1))
    world.cache.forget_all()
    assert (await world.cache.get("sk-1")).revoked_at_ms == 1


async def test_after_a_gap_known_keys_work_while_the_store_is_down(world: World) -> None:
    await world.cache.get("sk-1")
    world.store.failure = ConnectionRefusedError()
    world.cache.forget_all()
    assert (await world.cache.get("sk-1")).id == "key_1"


async def test_the_least_recently_used_key_leaves_first(world: World) -> None:
    secrets = [f"sk-{n}" for n in range(1, CAPACITY + 2)]
    for n, secret in enumerate(secrets, 1):
        world.store.add(secret, key(f"key_{n}"))
    for secret in [*secrets[:CAPACITY], secrets[0], secrets[CAPACITY]]:
        await world.cache.get(secret)
    asked = len(world.store.asked)
    await world.cache.get(secrets[0])
    assert len(world.store.asked) == asked
    await world.cache.get(secrets[1])
    assert len(world.store.asked) == asked + 1


async def test_a_flood_of_wrong_keys_reaches_the_store_a_few_at_a_time() -> None:
    world = World(load_timeout_s=30)  # the flood itself takes longer than a look-up may, on a busy machine
    world.store.add("sk-1", key("key_1"))
    await world.cache.get("sk-1")
    world.store.open.clear()
    world.store.crowd = key_cache.STRANGER_LOADS
    world.store.crowded.clear()
    wrong = [asyncio.create_task(world.cache.get(f"sk-wrong-{n}")) for n in range(2 * key_cache.STRANGERS_WAITING)]
    await world.store.crowded.wait()
    assert (await world.cache.get("sk-1")).id == "key_1"
    world.store.open.set()
    outcomes = await asyncio.gather(*wrong, return_exceptions=True)
    assert world.store.most_running == key_cache.STRANGER_LOADS
    turned_away = sum(isinstance(outcome, Undecidable) for outcome in outcomes)
    assert turned_away == key_cache.STRANGERS_WAITING
    assert sum(isinstance(outcome, Unauthenticated) for outcome in outcomes) == key_cache.STRANGERS_WAITING


async def test_wrong_keys_do_not_fill_the_memory(world: World) -> None:
    for n in range(10 * CAPACITY):
        with pytest.raises(Unauthenticated):
            await world.cache.get(f"sk-wrong-{n}")
    assert len(world.cache._unknown) == CAPACITY
    assert not world.cache._loads


async def test_closing_gives_up_what_is_under_way(world: World) -> None:
    world.store.open.clear()
    getting = asyncio.create_task(world.cache.get("sk-1"))
    await world.store.crowded.wait()
    await world.cache.close()
    assert world.store.running == 0
    assert (await asyncio.gather(getting, return_exceptions=True))[0].__class__ is asyncio.CancelledError
