"""URLs that open one object to whoever has them, until a time that stands in them."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from schemas.errors import Expired, Forbidden

PATH: Final = "/objects/"
SECRET_FILE: Final = ".secret"
SECRET_BYTES: Final = 32
MOST_DIGITS: Final = 15


class UrlSigner:
    """Signs and checks with a secret that all parts share; `public_url` is where clients reach the ingress."""

    def __init__(self, public_url: str, secret: bytes) -> None:
        self._base = public_url.rstrip("/") + PATH
        self._secret = secret

    def url(self, key: str, until_ms: int, file_name: str | None) -> str:
        name = file_name or ""
        query = {"expires": str(until_ms), **({"name": name} if name else {})}
        return f"{self._base}{quote(key)}?{urlencode(query)}&signature={self._signature(key, until_ms, name)}"

    def check(self, key: str, signed: Mapping[str, str], now_ms: int) -> str | None:
        """The file name that the URL gives. Raises Forbidden, or Expired when its time is over."""
        until, name = signed.get("expires", ""), signed.get("name", "")
        known = until.isascii() and until.isdigit() and len(until) <= MOST_DIGITS
        until_ms = int(until) if known else 0
        good = self._signature(key, until_ms, name)
        if not hmac.compare_digest(good.encode(), signed.get("signature", "").encode()):
            raise Forbidden("The URL's signature is not good: use the URL as it was given, without a change.")
        if now_ms >= until_ms:
            raise Expired("The URL has expired.")
        return name or None

    def _signature(self, key: str, until_ms: int, name: str) -> str:
        # A key has no line breaks, so that no two URLs are signed alike.
        said = f"penstock object\n{key}\n{until_ms}\n{name}"
        return hmac.new(self._secret, said.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def kept_secret(folder: Path) -> bytes:
    """The folder's own secret, made once, by whichever process comes first, and readable by its owner alone."""
    path = folder / SECRET_FILE
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f"{SECRET_FILE}.{secrets.token_hex(6)}"
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            pass  # another process was quicker: its secret is everybody's
        finally:
            draft.unlink()
    return path.read_bytes()
