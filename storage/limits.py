"""Limits of an account, reserved before the work and settled after it.

Requests and tokens are buckets that refill continuously, as large as one minute's allowance. A request in flight
holds a lease that ends by itself unless it is renewed, so a crash leaks no slot. One script decides all of it at once,
by the server's clock: what is refused has cost nothing. A bucket that used more than it held is in debt until it has
refilled.

    penstock:limits:{account}[:model]          hash  requests, tokens (levels), at_ms
    penstock:in-flight:{account}[:model]       zset  lease → end of the lease, ms
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from schemas.access import Limits
from storage.line import Line, Script
from storage.redis_wire import Argument

BUCKET_KEEP_MS: Final = 120_000
"""A bucket without debts that nobody touches for its minute is full, so it need not be kept."""

UNLIMITED: Final = -1
"""Not zero: who is limited to nothing gets nothing."""

RESERVE: Final = Script("""
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local lease, lease_ms, tokens = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local scopes = #KEYS / 2
local levels = {}
-- Reserved before, by whoever died or was not told: nothing is taken twice.
local held = scopes > 0 and tonumber(redis.call('ZSCORE', KEYS[2], lease) or 0) > now_ms

local function level(stored, capacity, elapsed_ms)
  if capacity <= 0 or not stored or stored == '' then return capacity end
  return math.min(capacity, tonumber(stored) + elapsed_ms * capacity / 60000)
end

for scope = 1, scopes do
  local bucket, leases = KEYS[2 * scope - 1], KEYS[2 * scope]
  local requests_cap = tonumber(ARGV[3 * scope + 1])
  local tokens_cap = tonumber(ARGV[3 * scope + 2])
  local in_flight_cap = tonumber(ARGV[3 * scope + 3])
  local stored = redis.call('HMGET', bucket, 'requests', 'tokens', 'at_ms')
  local elapsed_ms = stored[3] and math.max(0, now_ms - tonumber(stored[3])) or 0
  local requests = level(stored[1], requests_cap, elapsed_ms)
  local left = level(stored[2], tokens_cap, elapsed_ms)
  levels[scope] = {requests, left}
  if not held and requests_cap >= 0 and requests < 1 then
    local wait_ms = requests_cap == 0 and -1 or math.ceil((1 - requests) * 60000 / requests_cap)
    return {'requests', scope, wait_ms, math.floor(requests), math.floor(left)}
  end
  if not held and tokens_cap >= 0 and left < tokens then
    local wait_ms = tokens > tokens_cap and -1 or math.ceil((tokens - left) * 60000 / tokens_cap)
    return {'tokens', scope, wait_ms, math.floor(requests), math.floor(left)}
  end
  redis.call('ZREMRANGEBYSCORE', leases, '-inf', now_ms)
  if not held and in_flight_cap >= 0 and redis.call('ZCARD', leases) >= in_flight_cap then
    return {'in_flight', scope, in_flight_cap == 0 and -1 or 1000, math.floor(requests), math.floor(left)}
  end
end

local reply = {'granted', 0, 0}
for scope = 1, scopes do
  local bucket, leases = KEYS[2 * scope - 1], KEYS[2 * scope]
  local requests, left = levels[scope][1], levels[scope][2]
  local limits_requests, limits_tokens = tonumber(ARGV[3 * scope + 1]) > 0, tonumber(ARGV[3 * scope + 2]) > 0
  if limits_requests and not held then requests = requests - 1 end
  if limits_tokens and not held then left = left - tokens end
  -- What has no limit now is full should it get one.
  local levels_then = {limits_requests and tostring(requests) or '', limits_tokens and tostring(left) or ''}
  redis.call('HSET', bucket, 'requests', levels_then[1], 'tokens', levels_then[2], 'at_ms', now_ms)
  redis.call('PEXPIRE', bucket, ARGV[#ARGV])
  redis.call('ZADD', leases, now_ms + lease_ms, lease)
  if redis.call('PTTL', leases) < lease_ms then redis.call('PEXPIRE', leases, lease_ms) end
  reply[#reply + 1] = math.floor(requests)
  reply[#reply + 1] = math.floor(left)
end
return reply
""")

SETTLE: Final = Script("""
local now = redis.call('TIME')
local scopes = #KEYS / 2
for scope = 1, scopes do
  local bucket, cap = KEYS[2 * scope - 1], tonumber(ARGV[3 * scope + 1])
  if redis.call('ZREM', KEYS[2 * scope], ARGV[1]) == 1 and cap > 0 then
    local stored = redis.call('HGET', bucket, 'tokens')
    local tokens = (stored and stored ~= '' and stored or cap) + ARGV[2]
    redis.call('HSET', bucket, 'tokens', tostring(tokens))
    redis.call('HSETNX', bucket, 'at_ms', now[1] * 1000 + math.floor(now[2] / 1000))
    redis.call('PEXPIRE', bucket, ARGV[3] + math.max(0, math.ceil(-tokens * 60000 / cap)))
  end
end
return 1
""")

RENEW: Final = Script("""
local now = redis.call('TIME')
local until_ms = now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[1]
for lease = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', until_ms, ARGV[lease]) end
local left_ms = redis.call('PTTL', KEYS[1])
if left_ms >= 0 and left_ms < tonumber(ARGV[1]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
""")
"""Only what is there still is renewed: a lease that was settled, its reply lost, must not come back to be settled."""

RENEWED_AT_ONCE: Final = 256
"""Leases a script renews, so that nobody waits for long behind it."""

Refused = Literal["requests", "tokens", "in_flight"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What one set of limits is counted against; `model` None counts all of the account's."""

    account: str
    model: str | None
    limits: Limits

    def stored_at(self) -> tuple[Argument, Argument]:
        tail = f"{{{self.account}}}" if self.model is None else f"{{{self.account}}}:{self.model}"
        return f"penstock:limits:{tail}", f"penstock:in-flight:{tail}"

    def caps(self) -> tuple[Argument, Argument, Argument]:
        limits = self.limits
        return (
            UNLIMITED if limits.requests_per_min is None else limits.requests_per_min,
            UNLIMITED if limits.tokens_per_min is None else limits.tokens_per_min,
            UNLIMITED if limits.in_flight is None else limits.in_flight,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of one scope's allowance."""

    scope: Scope
    requests_left: int
    tokens_left: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """`refused` None is a grant. `standings` has the refusing scope, or all of them.

    `retry_after_ms` None says that waiting does not help: more is asked for than a minute allows.
    """

    refused: Refused | None
    standings: tuple[Standing, ...]
    retry_after_ms: int | None = 0


class LimitStore:
    """Raises Undecidable when Redis is out of reach: there is no falling back to limits of one process."""

    def __init__(self, line: Line) -> None:
        self._line = line

    async def reserve(self, scopes: tuple[Scope, ...], lease: str, lease_ms: int, tokens: int) -> Verdict:
        """Takes one request, `tokens` and a slot from every scope, or nothing from any.

        A lease that is held already is granted, lasts `lease_ms` from now, and takes nothing more.
        """
        reply = await self._line.run(
            RESERVE, _keys(scopes), lease, lease_ms, tokens, *(cap for s in scopes for cap in s.caps()), BUCKET_KEEP_MS
        )
        if reply[0] == b"granted":
            left = reply[3:]
            return Verdict(None, tuple(Standing(s, left[2 * i], left[2 * i + 1]) for i, s in enumerate(scopes)))
        scope = scopes[reply[1] - 1]
        refused: Refused = reply[0].decode()
        return Verdict(refused, (Standing(scope, reply[3], reply[4]),), None if reply[2] < 0 else reply[2])

    async def renew(self, held: Mapping[str, tuple[Scope, ...]], lease_ms: int) -> None:
        """Lets these leases, with the scopes each was reserved from, last `lease_ms` from now, in one round trip."""
        by_scope: dict[Argument, list[str]] = {}
        for lease, scopes in held.items():
            for scope in scopes:
                by_scope.setdefault(scope.stored_at()[1], []).append(lease)
        await asyncio.gather(
            *(
                self._line.run(RENEW, (key,), lease_ms, *leases[first : first + RENEWED_AT_ONCE])
                for key, leases in by_scope.items()
                for first in range(0, len(leases), RENEWED_AT_ONCE)
            )
        )

    async def settle(self, scopes: tuple[Scope, ...], lease: str, unused_tokens: int) -> None:
        """Gives the slot back, and the tokens that were reserved and not used; negative takes more.

        Does so once: a lease that was settled, or that has ended unsettled, changes nothing any more.
        """
        caps = (cap for scope in scopes for cap in (scope.caps()[1], 0, 0))
        await self._line.run(SETTLE, _keys(scopes), lease, unused_tokens, BUCKET_KEEP_MS, *caps)


def _keys(scopes: tuple[Scope, ...]) -> tuple[Argument, ...]:
    return tuple(key for scope in scopes for key in scope.stored_at())
