"""Access keys held close, so that the request path touches no database."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from schemas.access import AccessKey
from schemas.errors import Unauthenticated, Undecidable
from storage.keys import hash_secret

LOG: Final = logging.getLogger(__name__)

LOAD_TIMEOUT_S: Final = 2.0
"""Longer than a busy database takes, shorter than a caller's patience."""

PAUSE_S: Final = 1.0
"""How long a key that could not be refreshed is served before the store is asked again."""

STRANGER_LOADS: Final = 4
"""Look-ups of secrets never seen before that may run at once: a flood of wrong keys waits in line."""

STRANGERS_WAITING: Final = 256
"""Length of that line; who comes after it is turned away."""


@dataclass(slots=True)
class _Known:
    """A key, and until when it is served without asking, or while asking. A doubted one is not served at all."""

    key: AccessKey
    fresh_until_s: float
    stale_until_s: float
    doubted: bool = False


@dataclass(slots=True)
class _Load:
    """A look-up under way, and which keys changed meanwhile: what it brings back of those may be out of date."""

    task: "asyncio.Task[AccessKey | None] | None" = None
    forgotten: set[str] = field(default_factory=set)
    all_forgotten: bool = False

    def is_outdated(self, key: AccessKey | None) -> bool:
        # A secret that nobody had may be the very one that was created meanwhile.
        return self.all_forgotten or (bool(self.forgotten) if key is None else key.id in self.forgotten)


class KeyCache:
    """Keys by their secret, at most `capacity` of them, the least recently used leaving first.

    A key is served for `ttl_s`, for as long again while it is asked about in the background, and for as long as the
    store cannot be reached. One look-up runs for a secret, however many wait for it. That a secret is unknown is
    remembered for `negative_ttl_s`, or until any key changes.
    """

    def __init__(
        self,
        load: Callable[[str], Awaitable[AccessKey | None]],
        *,
        ttl_s: float,
        negative_ttl_s: float,
        capacity: int,
        load_timeout_s: float = LOAD_TIMEOUT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._load = load
        self._ttl_s = ttl_s
        self._negative_ttl_s = negative_ttl_s
        self._capacity = capacity
        self._load_timeout_s = load_timeout_s
        self._clock = clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._digests: dict[str, str] = {}
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._loads: dict[str, _Load] = {}
        self._strangers = asyncio.Semaphore(STRANGER_LOADS)

    async def get(self, secret: str) -> AccessKey:
        """The key with this secret, which may have been revoked or expired.

        Raises Unauthenticated if there is none, Undecidable if that cannot be told now.
        """
        digest = hash_secret(secret)
        now_s = self._clock()
        known = self._known.get(digest)
        if known is None:
            if now_s < self._unknown.get(digest, 0.0):
                raise _unauthenticated()
        elif not known.doubted and now_s < known.stale_until_s:
            self._known.move_to_end(digest)
            if now_s >= known.fresh_until_s:
                self._look_up(digest)
            return known.key
        return await self._ask(digest)

    def forget(self, key_id: str) -> None:
        """A key changed, or is new: it is not served again before the store has been asked."""
        self._unknown.clear()
        for load in self._loads.values():
            load.forgotten.add(key_id)
        if digest := self._digests.get(key_id):
            self._known[digest].doubted = True

    def forget_all(self) -> None:
        """Any key may have changed unheard: each is asked about before it is served, if the store can be reached."""
        self._unknown.clear()
        for load in self._loads.values():
            load.all_forgotten = True
        for known in self._known.values():
            known.fresh_until_s = known.stale_until_s = float("-inf")

    async def close(self) -> None:
        """Give up what is being looked up."""
        tasks = [load.task for load in self._loads.values() if load.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, digest: str) -> AccessKey:
        try:
            # Shielded, because a caller who leaves must not end the look-up that others wait for.
            key = await asyncio.shield(self._look_up(digest))
        except Undecidable:
            known = self._known.get(digest)
            if known is None or known.doubted:
                raise
            return known.key
        if key is None:
            raise _unauthenticated()
        return key

    def _look_up(self, digest: str) -> "asyncio.Task[AccessKey | None]":
        load = self._loads.get(digest)
        if load is not None and load.task is not None:
            return load.task
        if digest not in self._known and len(self._loads) >= STRANGERS_WAITING:
            raise Undecidable("Too many unknown access keys are being looked up.", retry_after_s=PAUSE_S)
        load = self._loads[digest] = _Load()
        load.task = asyncio.create_task(self._run(digest, load))
        load.task.add_done_callback(_retrieve)
        return load.task

    async def _run(self, digest: str, load: _Load) -> AccessKey | None:
        try:
            key = await self._up_to_date(digest, load)
        except Exception as exc:  # Whatever a store raises, the question stays open.
            self._postpone(digest, exc)
            raise Undecidable("Access keys cannot be looked up at the moment.", retry_after_s=PAUSE_S) from exc
        finally:
            del self._loads[digest]
        self._keep(digest, key)
        return key

    async def _up_to_date(self, digest: str, load: _Load) -> AccessKey | None:
        """What the store says, asked again if the key changed while it was being asked."""
        gate = contextlib.nullcontext() if digest in self._known else self._strangers
        async with asyncio.timeout(self._load_timeout_s), gate:
            while True:
                load.forgotten.clear()
                load.all_forgotten = False
                key = await self._load(digest)
                if not load.is_outdated(key):
                    return key

    def _keep(self, digest: str, key: AccessKey | None) -> None:
        if former := self._known.pop(digest, None):
            self._digests.pop(former.key.id, None)
        if key is None:
            self._unknown[digest] = self._clock() + self._negative_ttl_s
            if len(self._unknown) > self._capacity:
                self._unknown.popitem(last=False)
            return
        if older := self._digests.get(key.id):
            del self._known[older]
        fresh_until_s = self._clock() + self._ttl_s
        self._known[digest] = _Known(key, fresh_until_s, fresh_until_s + self._ttl_s)
        self._digests[key.id] = digest
        if len(self._known) > self._capacity:
            _, least_used = self._known.popitem(last=False)
            del self._digests[least_used.key.id]

    def _postpone(self, digest: str, exc: Exception) -> None:
        """Serve a key on, although it could not be refreshed."""
        known = self._known.get(digest)
        if known is None or known.doubted:
            return
        known.fresh_until_s = self._clock() + PAUSE_S
        known.stale_until_s = known.fresh_until_s + self._ttl_s
        LOG.warning("key_refresh_failed", extra={"key_id": known.key.id, "error": repr(exc)})


def _unauthenticated() -> Unauthenticated:
    return Unauthenticated("The access key is not valid. Check that it was copied whole and not revoked.")


def _retrieve(task: "asyncio.Task[AccessKey | None]") -> None:
    """A refresh in the background has nobody else to take its exception, which has been logged."""
    if not task.cancelled():
        task.exception()
