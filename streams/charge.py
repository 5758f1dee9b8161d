"""What a job costs."""

from typing import Final

from schemas.usage import Price, Usage, UsageEvent
from storage.ledger import Charge

MTOK: Final = 1_000_000


def charge(event: UsageEvent) -> Charge:
    """A job that produced nothing costs nothing, unless producing nothing is how it completed."""
    produced = event.end == "completed" or event.first_chunk_ms is not None or event.usage.output_tokens > 0
    return Charge(event, cost_microusd(event.usage, event.price) if produced else 0)


def cost_microusd(usage: Usage, price: Price) -> int:
    """Exact until one rounding at the end, half a micro-dollar up.

    Cached input is part of the input. Where an engine counts more of it than input, what exceeds is free: no
    job pays for more input than it had.
    """
    cached_tokens = min(usage.cached_input_tokens, usage.input_tokens)
    microusd_mtok = (
        (usage.input_tokens - cached_tokens) * price.input_microusd_per_mtok
        + cached_tokens * price.cached_input_microusd_per_mtok
        + usage.output_tokens * price.output_microusd_per_mtok
    )
    return (microusd_mtok + MTOK // 2) // MTOK
