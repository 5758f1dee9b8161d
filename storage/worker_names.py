"""Who runs under a worker's name: the newest that took it.

Kafka gives a consumer's partitions to whoever comes under its name, and a job's record its lease. Two workers that
live under one name would both have them.

    penstock:worker:{name}    the incarnation of the worker that runs under it
"""

from typing import Final

from storage.line import Line, Script

KEEP_MS: Final = 60_000

HOLDS: Final = Script("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")


async def take_name(line: Line, name: str, incarnation: str) -> None:
    """Takes the name from whoever had it, as a worker must that was killed and started again. Raises Undecidable."""
    await line.call("SET", _key(name), incarnation, "PX", KEEP_MS)


async def holds_name(line: Line, name: str, incarnation: str) -> bool:
    """False once another incarnation has taken the name; what Redis forgot is written anew. Raises Undecidable."""
    return bool(await line.run(HOLDS, (_key(name),), incarnation, KEEP_MS))


def _key(name: str) -> str:
    return f"penstock:worker:{name}"
