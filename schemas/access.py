"""Who may ask, for what, and how much."""

from typing import Final

import msgspec

KEYS_CHANNEL: Final = "penstock:keys"
"""Redis channel on which the id of a key that changed is announced to every ingress process."""


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """None sets no limit."""

    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    in_flight: int | None = None


class AccessKey(msgspec.Struct, frozen=True):
    """A model access key as the door sees it; the secret itself is nowhere kept, only its SHA-256.

    `models` None opens every model. `networks` are CIDR blocks, empty for any address.
    `limits` are the account's, shared by all its keys; `model_limits` hold for the account on one model.
    """

    id: str
    account: str
    name: str
    models: tuple[str, ...] | None
    networks: tuple[str, ...]
    created_at_ms: int
    expires_at_ms: int | None
    revoked_at_ms: int | None
    limits: Limits
    model_limits: dict[str, Limits]
