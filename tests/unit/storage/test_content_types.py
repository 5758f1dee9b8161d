import mimetypes

import pytest

from storage.content_types import disposition, type_by_ending


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "gif", "mp4", "webm", "mov", "mp3", "json"])
def test_an_ending_means_what_it_means_elsewhere(ending: str) -> None:
    """Python's own table, without the system's."""
    assert type_by_ending(f"media/a/j/0.{ending}") == mimetypes.MimeTypes().guess_type(f"0.{ending}")[0]


@pytest.mark.parametrize("key", ["media/a.mp4/video", "media/a/mp4", "media/a/v.", "v.unheard-of"])
def test_what_has_no_known_ending_is_bytes(key: str) -> None:
    assert type_by_ending(key) == "application/octet-stream"


def test_an_ending_may_be_large() -> None:
    assert type_by_ending("media/a/j/V.MP4") == "video/mp4"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (None, "inline"),
        ("", "inline"),
        ("plain.mp4", "attachment; filename=\"plain.mp4\"; filename*=UTF-8''plain.mp4"),
        # RFC 6266, section 5.
        ("€ rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
        ('a"; x="b', "attachment; filename=\"a_; x=_b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"),
        ("a\r\nset-cookie: b", "attachment; filename=\"a__set-cookie: b\"; filename*=UTF-8''a%0D%0Aset-cookie%3A%20b"),
        ("../up", "attachment; filename=\"../up\"; filename*=UTF-8''..%2Fup"),
    ],
)
def test_a_name_is_said_in_a_header_as_it_is(name: str | None, value: str) -> None:
    assert disposition(name) == value
