"""What a job costs."""

from typing import Final

from schemas.usage import Price, Usage, UsageEvent
from storage.ledger import Charge

MTOK: Final = 1_000_000


def charge(event: UsageEvent) -> Charge:
    """A job that produced nothing costs nothing, unless producing nothing is how it completed."""
    gave = event.first_chunk_ms is not None or event.usage.output_tokens > 0 or event.usage.units > 0
    produced = event.end == "completed" or gave
    return Charge(event, cost_microusd(event.usage, event.price) if produced else 0)


def cost_microusd(usage: Usage, price: Price) -> int:
    """Exact until one rounding at the end, half a micro-dollar up.

    Input read from a cache and input written to it are parts of the input. Where an engine counts more of them than
    input, what exceeds is free: no job pays for more input than it had.
    """
    cached_tokens = min(usage.cached_input_tokens, usage.input_tokens)
    written_tokens = min(usage.cache_written_input_tokens, usage.input_tokens - cached_tokens)
    hour_tokens = min(usage.cache_written_1h_input_tokens, written_tokens)
    microusd_mtok = (
        (usage.input_tokens - cached_tokens - written_tokens) * price.input_microusd_per_mtok
        + cached_tokens * price.cached_input_microusd_per_mtok
        + (written_tokens - hour_tokens) * price.cache_written_input_microusd_per_mtok
        + hour_tokens * price.cache_written_1h_input_microusd_per_mtok
        + usage.output_tokens * price.output_microusd_per_mtok
    )
    microusd_mtok += usage.units * price.unit_microusd_per_million
    return (microusd_mtok + MTOK // 2) // MTOK
