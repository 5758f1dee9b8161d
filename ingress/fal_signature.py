"""Whether a call is fal's own: signed with one of the keys that fal publishes (docs.fal.ai, webhooks, 2026-11)."""

import asyncio
import base64
import binascii
import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import Any, Final
from urllib.request import Request, urlopen

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.errors import Unauthenticated, Undecidable

LEEWAY_S: Final = 300
KEPT_S: Final = 86_400.0
"""fal says that its keys may be kept for no longer."""

AGAIN_S: Final = 60.0
"""How long keys that did not verify a call, or that could not be had, are not asked for anew."""

FETCH_S: Final = 10.0
KEYS_BYTES: Final = 64 * 1024
SIGNED: Final = ("x-fal-webhook-request-id", "x-fal-webhook-user-id", "x-fal-webhook-timestamp")
SIGNATURE: Final = "x-fal-webhook-signature"

DECODER: Final = msgspec.json.Decoder(dict[str, Any])

log = logging.getLogger(__name__)

Fetch = Callable[[str], bytes]


def fetch(url: str) -> bytes:
    """What the operator's own address holds. Raises OSError."""
    with urlopen(Request(url, headers={"User-Agent": "penstock"}), timeout=FETCH_S) as answer:
        body: bytes = answer.read(KEYS_BYTES)
        return body


class FalSignature:
    """Keeps the keys that lie at `url` for a day; has them again, at most each minute, for what they do not verify."""

    def __init__(self, url: str, *, get: Fetch = fetch, clock: Callable[[], float] = time.time) -> None:
        self._url = url
        self._get = get
        self._clock = clock
        self._keys: Sequence[Ed25519PublicKey] = ()
        self._asked_at = float("-inf")
        self._asking = asyncio.Lock()

    async def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if fal has signed this, of late. Raises Unauthenticated, or Undecidable without any keys."""
        signature, message = _signed(headers, body, self._clock())
        if self._clock() - self._asked_at > KEPT_S:
            await self._renew()
        if _verifies(self._keys, signature, message):
            return
        if self._clock() - self._asked_at > AGAIN_S:
            await self._renew()
            if _verifies(self._keys, signature, message):
                return
        if not self._keys:
            raise Undecidable("The keys that fal signs with cannot be had at the moment.", retry_after_s=60)
        raise Unauthenticated("This call is not signed by fal.")

    async def _renew(self) -> None:
        async with self._asking:
            if self._clock() - self._asked_at <= AGAIN_S:
                return
            try:
                self._keys = _keys(await asyncio.to_thread(self._get, self._url))
            except (OSError, HTTPException, ValueError) as failure:
                log.warning("fal_keys_not_had", extra={"url": self._url, "reason": str(failure)})
            self._asked_at = self._clock()


def _signed(headers: Mapping[str, str], body: bytes, now_s: float) -> tuple[bytes, bytes]:
    parts = [headers.get(name, "") for name in SIGNED]
    try:
        signature = bytes.fromhex(headers.get(SIGNATURE, ""))
        at_s = int(parts[-1])
    except ValueError:
        raise Unauthenticated("This call carries no signature of fal's.") from None
    if not all(parts) or not signature:
        raise Unauthenticated("This call carries no signature of fal's.")
    if abs(now_s - at_s) > LEEWAY_S:
        raise Unauthenticated("This call was signed too long ago, or by a clock that goes wrong.")
    return signature, "\n".join([*parts, hashlib.sha256(body).hexdigest()]).encode()


def _verifies(keys: Sequence[Ed25519PublicKey], signature: bytes, message: bytes) -> bool:
    for key in keys:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return True
    return False


def _keys(body: bytes) -> list[Ed25519PublicKey]:
    """Raises ValueError where there is none."""
    try:
        listed = DECODER.decode(body)["keys"]
        found = [_key(each["x"]) for each in listed if each.get("crv") == "Ed25519"]
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError, binascii.Error) as exc:
        raise ValueError(f"that is no set of keys: {exc!r}") from exc
    if not found:
        raise ValueError("there is no Ed25519 key among them")
    return found


def _key(x: str) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))
