"""How a webhook shows whose it is: Standard Webhooks, version 1 (github.com/standard-webhooks, read 2026-11)."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from storage.webhook_secrets import PREFIX


def signed_headers(event_id: str, at_s: int, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The headers of one call; with several secrets, a receiver that knows any of them finds its own signature."""
    said = f"{event_id}.{at_s}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{_sign(secret, said)}" for secret in secrets),
    }


def _sign(secret: str, said: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return base64.b64encode(hmac.new(key, said, hashlib.sha256).digest()).decode()
