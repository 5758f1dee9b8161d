"""Who asks, and whether they may."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_network
from typing import Final

from ingress.key_cache import KeyCache
from ingress.networks import Address, Network, is_within
from schemas.access import AccessKey
from schemas.errors import Forbidden, Unauthenticated

__all__ = ["KeyCache", "authorize", "credential", "opens"]

NETWORKS_CACHED: Final = 4096
"""Distinct lists of networks whose parsed form is kept."""


def credential(headers: Mapping[str, str]) -> str:
    """The secret a request brings, as `Authorization: Bearer` or as `x-api-key`; names are in lower case.

    Both may be sent, since some clients do, if they say the same. Authorization of another scheme is not for us
    and leaves `x-api-key` to speak. Raises Unauthenticated.
    """
    scheme, _, bearer = headers.get("authorization", "").strip().partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    api_key = headers.get("x-api-key", "").strip()
    if bearer and api_key and bearer != api_key:
        raise Unauthenticated("Authorization and x-api-key carry different access keys. Send one of them.")
    if secret := bearer or api_key:
        return secret
    raise Unauthenticated("No access key was sent. Send it as 'Authorization: Bearer KEY' or as 'x-api-key: KEY'.")


def authorize(key: AccessKey, model_id: str | None, client_ip: Address | None, now_ms: int) -> None:
    """Return if the key is open, and good for this model and from this address.

    `model_id` is a row's id, aliases resolved; None asks about the key alone. Without an address a key that is bound to
    networks is not good. Raises Unauthenticated for a key that has ended, Forbidden for one that may not do this.
    """
    if key.revoked_at_ms is not None:
        raise Unauthenticated("This access key has been revoked. Use another one.")
    if key.expires_at_ms is not None and now_ms >= key.expires_at_ms:
        raise Unauthenticated("This access key has expired. Use another one.")
    if key.networks and client_ip is None:
        raise Forbidden("This access key may be used from certain networks only, and this request has no address.")
    if client_ip is not None and key.networks and not is_within(client_ip, _networks(key.networks)):
        raise Forbidden(f"This access key may not be used from the address {client_ip}.")
    if model_id is not None and not opens(key, model_id):
        raise Forbidden(f"This access key has no access to the model '{model_id}'.", param="model")


def opens(key: AccessKey, model_id: str) -> bool:
    """Whether a model is in the key's scope."""
    return key.models is None or model_id in key.models


@lru_cache(NETWORKS_CACHED)
def _networks(blocks: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ip_network(block) for block in blocks)
