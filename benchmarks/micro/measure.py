"""All micro-benchmarks, in the order of a request's path."""

from benchmarks.micro import doors, functions, providers, replicas, round_trips
from benchmarks.micro.timing import Timing


async def measure() -> list[Timing]:
    """Takes some ten seconds."""
    pure = [*functions.measure(), *providers.measure(), *doors.measure(), *replicas.measure()]
    return pure + [timing async for timing in round_trips.measure()]
