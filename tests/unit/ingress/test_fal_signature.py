"""Which calls are taken for fal's own, and when its keys are asked for."""

import base64
import hashlib
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ingress.fal_signature import FalSignature
from schemas.errors import Unauthenticated, Undecidable

BODY = b'{"status": "OK"}'
NOW_S = 1_795_000_000.0


class Keys:
    """What lies at the URL of the keys, and how often it was asked for."""

    def __init__(self, *keys: Ed25519PrivateKey, failure: OSError | None = None) -> None:
        self.failure = failure
        self.asked = 0
        self.hold(*keys)

    def hold(self, *keys: Ed25519PrivateKey) -> None:
        told = [{"kty": "OKP", "crv": "Ed25519", "x": encoded(key)} for key in keys]
        self.body = json.dumps({"keys": told}).encode()

    def get(self, url: str) -> bytes:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.body


class Clock:
    now_s = NOW_S

    def __call__(self) -> float:
        return self.now_s


def encoded(key: Ed25519PrivateKey) -> str:
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()


def signed(key: Ed25519PrivateKey, at_s: float = NOW_S, body: bytes = BODY) -> dict[str, str]:
    """As fal's documentation says: four lines, of which the last is the body's SHA-256."""
    message = f"req-1\nuser-1\n{int(at_s)}\n{hashlib.sha256(body).hexdigest()}"
    return {
        "x-fal-webhook-request-id": "req-1",
        "x-fal-webhook-user-id": "user-1",
        "x-fal-webhook-timestamp": str(int(at_s)),
        "x-fal-webhook-signature": key.sign(message.encode()).hex(),
    }


KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


async def test_any_of_the_published_keys_verifies_and_they_are_asked_for_once() -> None:
    keys = Keys(OTHER, KEY)
    signature = FalSignature("https://keys", get=keys.get, clock=Clock())
    for _ in range(3):
        await signature.check(signed(KEY), BODY)
    assert keys.asked == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"x-fal-webhook-signature": "no hex"},
        {"x-fal-webhook-signature": ""},
        {"x-fal-webhook-signature": "00" * 64},
        {"x-fal-webhook-user-id": "another"},
        {"x-fal-webhook-request-id": ""},
        {"x-fal-webhook-timestamp": "yesterday"},
    ],
)
async def test_what_is_not_signed_as_it_came_is_refused(wrong: dict[str, Any]) -> None:
    signature = FalSignature("https://keys", get=Keys(KEY).get, clock=Clock())
    with pytest.raises(Unauthenticated):
        await signature.check({**signed(KEY), **wrong}, BODY)


async def test_another_body_is_refused() -> None:
    signature = FalSignature("https://keys", get=Keys(KEY).get, clock=Clock())
    with pytest.raises(Unauthenticated):
        await signature.check(signed(KEY), BODY + b" ")


@pytest.mark.parametrize("off_s", [-301, 301])
async def test_a_call_of_another_time_is_refused(off_s: int) -> None:
    signature = FalSignature("https://keys", get=Keys(KEY).get, clock=Clock())
    with pytest.raises(Unauthenticated, match="too long ago"):
        await signature.check(signed(KEY, NOW_S + off_s), BODY)


async def test_new_keys_are_had_for_what_the_old_ones_do_not_verify_but_not_for_every_forgery() -> None:
    keys, clock = Keys(OTHER), Clock()
    signature = FalSignature("https://keys", get=keys.get, clock=clock)
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await signature.check(signed(KEY), BODY)
    assert keys.asked == 1
    keys.hold(KEY)
    clock.now_s += 61
    await signature.check(signed(KEY), BODY)
    assert keys.asked == 2


async def test_keys_are_had_anew_after_a_day_and_kept_while_they_cannot_be() -> None:
    keys, clock = Keys(KEY), Clock()
    signature = FalSignature("https://keys", get=keys.get, clock=clock)
    await signature.check(signed(KEY), BODY)
    clock.now_s += 86_401
    keys.failure = OSError("away")
    await signature.check(signed(KEY, clock.now_s), BODY)
    assert keys.asked == 2


@pytest.mark.parametrize("body", [b"<html>", b"{}", b'{"keys": []}', b'{"keys": [{"crv": "Ed25519", "x": "!"}]}'])
async def test_without_any_key_nothing_can_be_decided(body: bytes) -> None:
    keys = Keys()
    keys.body = body
    with pytest.raises(Undecidable):
        await FalSignature("https://keys", get=keys.get, clock=Clock()).check(signed(KEY), BODY)
