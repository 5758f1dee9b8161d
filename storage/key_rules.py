"""What a key and a limit may be, told by raising InvalidValue with the parameter and what to change."""

import re
from collections.abc import Iterable
from ipaddress import ip_network
from typing import Final

import msgspec

from schemas.access import Limits
from schemas.errors import InvalidValue

ACCOUNT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")
NAME_CHARS: Final = 100
MODEL_CHARS: Final = 256
LIMIT: Final = 2**53
"""The largest integer that Redis's scripts, whose numbers are doubles, count exactly."""


def checked_account(account: str) -> str:
    if not ACCOUNT.fullmatch(account):
        raise InvalidValue(
            "An account is 1 to 128 letters, digits, '.', '_', '@' or '-', the first a letter or digit.",
            param="account",
        )
    return account


def checked_name(name: str) -> str:
    if not 0 < len(name.strip()) <= NAME_CHARS or not name.isprintable():
        raise InvalidValue(f"A key's name is 1 to {NAME_CHARS} printable characters.", param="name")
    return name.strip()


def checked_models(models: Iterable[str] | None) -> list[str] | None:
    """Without order or repetition; None, for all models, stays None."""
    if models is None:
        return None
    scope = sorted(set(models))
    if not scope:
        raise InvalidValue("Name at least one model, or leave models out to open all.", param="models")
    for model in scope:
        checked_model(model, param="models")
    return scope


def checked_model(model: str, *, param: str) -> str:
    if not 0 < len(model) <= MODEL_CHARS or not model.isprintable() or " " in model:
        raise InvalidValue(f"{model!r} is no model's id.", param=param)
    return model


def checked_networks(networks: Iterable[str]) -> list[str]:
    """CIDR blocks in their usual notation, a single address as a block of its own."""
    return [_block(network) for network in networks]


def _block(network: str) -> str:
    try:
        return str(ip_network(network))
    except ValueError as exc:
        raise InvalidValue(
            f"A network is an address or a CIDR block, as 10.0.0.0/8 is: {exc}.", param="networks"
        ) from exc


def checked_expiry(expires_at_ms: int | None, *, now_ms: int) -> int | None:
    if expires_at_ms is not None and not now_ms < expires_at_ms < LIMIT:
        raise InvalidValue("A key expires in the future, in milliseconds since 1970.", param="expires_at_ms")
    return expires_at_ms


def checked_limits(limits: Limits) -> dict[str, int | None]:
    columns: dict[str, int | None] = msgspec.structs.asdict(limits)
    for name, limit in columns.items():
        if limit is not None and not 0 <= limit <= LIMIT:
            raise InvalidValue(f"{name} is a number from 0, which lets nothing through, to {LIMIT}.", param=name)
    return columns
