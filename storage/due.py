"""What somebody must look at, by when: a list that any process takes from, and that none can lose by dying.

<key>    zset  member → when it is due, ms by the server's clock
"""

from typing import Final

from storage.line import Line, Script

TAKE: Final = Script("""
local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now_ms + ARGV[2], member) end
return due
""")

PUT_OFF: Final = Script("""
local now = redis.call('TIME')
local at_ms = redis.call('ZSCORE', KEYS[1], ARGV[1])
if at_ms and tonumber(at_ms) > now[1] * 1000 + math.floor(now[2] / 1000) then
  redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
end
return 1
""")


class DueList:
    """Every call is one round trip and raises Undecidable when Redis is out of reach."""

    def __init__(self, line: Line, key: str) -> None:
        self._line = line
        self._key = key

    async def note(self, member: str, at_ms: int) -> None:
        await self._line.call("ZADD", self._key, at_ms, member)

    async def note_no_earlier(self, member: str, at_ms: int) -> None:
        """Leaves a later time as it was noted."""
        await self._line.call("ZADD", self._key, "GT", at_ms, member)

    async def put_off(self, member: str, at_ms: int) -> None:
        """Changes when a member that was taken is due again, unless it has become due meanwhile or is dropped."""
        await self._line.run(PUT_OFF, (self._key,), member, at_ms)

    async def drop(self, member: str) -> bool:
        """True for the one caller that took the member off the list."""
        return bool(await self._line.call("ZREM", self._key, member))

    async def take(self, most: int, for_ms: int) -> list[str]:
        """Members that are due, left to this caller for `for_ms`; what it has not dropped then is due again."""
        members = await self._line.run(TAKE, (self._key,), most, for_ms)
        return [member.decode() for member in members]
