import hashlib
import hmac
import stat
import threading
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from schemas.errors import Expired, Forbidden
from storage.signed_urls import UrlSigner, kept_secret

SIGNER = UrlSigner("https://models.example/", b"a secret")
UNTIL_MS = 1_800_000_000_000
KEY = "media/acme/job_1/a b%2F.mp4"


def parts(url: str) -> tuple[str, dict[str, str]]:
    """The key and the query as a server reads them."""
    split = urlsplit(url)
    return unquote(split.path).removeprefix("/objects/"), dict(parse_qsl(split.query))


def test_a_url_is_good_until_its_time() -> None:
    url = SIGNER.url(KEY, UNTIL_MS, None)
    assert url.startswith("https://models.example/objects/media/acme/job_1/")
    key, query = parts(url)
    assert key == KEY
    assert SIGNER.check(key, query, UNTIL_MS - 1) is None
    with pytest.raises(Expired):
        SIGNER.check(key, query, UNTIL_MS)


def test_a_url_carries_the_name_to_save_it_under() -> None:
    key, query = parts(SIGNER.url(KEY, UNTIL_MS, 'ü & "b"\n.mp4'))
    assert SIGNER.check(key, query, 0) == 'ü & "b"\n.mp4'


@pytest.mark.parametrize(
    "change",
    [
        {"expires": str(UNTIL_MS + 1)},
        {"expires": f" {UNTIL_MS}"},
        {"expires": "1e99"},
        {"expires": "٤"},
        {"expires": "9" * 5000},
        {"expires": ""},
        {"name": "other.mp4"},
        {"name": ""},
        {"signature": ""},
        {"signature": "ü"},
        {"signature": "0" * 64},
    ],
)
def test_a_url_that_was_changed_opens_nothing(change: dict[str, str]) -> None:
    key, query = parts(SIGNER.url(KEY, UNTIL_MS, "v.mp4"))
    with pytest.raises(Forbidden):
        SIGNER.check(key, query | change, 0)


def test_a_signature_opens_its_own_object_alone() -> None:
    _, query = parts(SIGNER.url(KEY, UNTIL_MS, None))
    for other in ("media/other/job_1/a b%2F.mp4", KEY + "x", f"{KEY}\n", ""):
        with pytest.raises(Forbidden):
            SIGNER.check(other, query, 0)


def test_another_secret_signs_another_url() -> None:
    key, query = parts(UrlSigner("https://models.example", b"another").url(KEY, UNTIL_MS, None))
    with pytest.raises(Forbidden):
        SIGNER.check(key, query, 0)


def test_whether_it_has_expired_is_told_to_nobody_without_a_signature() -> None:
    with pytest.raises(Forbidden):
        SIGNER.check(KEY, {"expires": "1", "signature": "0" * 64}, UNTIL_MS)


def test_the_signature_is_an_hmac_of_what_the_url_says() -> None:
    _, query = parts(SIGNER.url("k", 5, "n"))
    said = b"penstock object\nk\n5\nn"
    assert query["signature"] == hmac.new(b"a secret", said, hashlib.sha256).hexdigest()


def test_a_folder_has_one_secret_whoever_comes_first(tmp_path: Path) -> None:
    found: list[bytes] = []
    together = threading.Barrier(8)

    def come() -> None:
        together.wait()
        found.append(kept_secret(tmp_path / "objects"))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found[0]) == 32
    (file,) = (tmp_path / "objects").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
