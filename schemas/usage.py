"""What a job used, what a unit of it costs, and the event that says both."""

from typing import Final, Literal

import msgspec

End = Literal["completed", "failed", "cancelled", "expired"]


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """Tokens as the engine counted them, and `units` of what else its model is sold by: see Price.

    `cached_input_tokens`, read from a prompt cache, and `cache_written_input_tokens`, written to it, are part of
    `input_tokens`; `cache_written_1h_input_tokens`, to be kept for an hour and not for minutes, are part of those
    written. `reasoning_tokens` are part of `output_tokens`.
    `estimated` marks figures the platform had to make itself because the engine was cut off before it told its own.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_written_input_tokens: int = 0
    cache_written_1h_input_tokens: int = 0
    units: int = 0


UNCOUNTED: Final = Usage(estimated=True)
"""What an ingress knows of a job that it must end itself: only the worker has the count, and the ledger hears it."""

Unit = Literal["", "image", "character", "video_ms", "video", "request"]


class Price(msgspec.Struct, frozen=True, array_like=True):
    """Integer micro-dollars for a million tokens, and for a million of the unit that the model is sold by."""

    input_microusd_per_mtok: int = 0
    cached_input_microusd_per_mtok: int = 0
    output_microusd_per_mtok: int = 0
    cache_written_input_microusd_per_mtok: int = 0
    cache_written_1h_input_microusd_per_mtok: int = 0
    unit: Unit = ""
    unit_microusd_per_million: int = 0


class UsageEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One per accepted job, however it ended; published at least once, taken by the ledger once per `job_id`.

    `price` is the one that stood in the catalogue when the job was accepted.
    `first_chunk_ms` counts from acceptance; None when there was no output.
    """

    job_id: str
    account: str
    key_id: str
    model: str
    operation: str
    lane: str
    end: End
    accepted_at_ms: int
    ended_at_ms: int
    queue_wait_ms: int
    attempt: int
    usage: Usage
    price: Price
    first_chunk_ms: int | None = None
    error_code: str | None = None
