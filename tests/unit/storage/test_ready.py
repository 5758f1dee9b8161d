"""A part says once that it takes work, and only to somebody who asked."""

import os

import pytest

from storage.ready import READY_FD, notify_ready


def test_who_asked_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard, said = os.pipe()
    monkeypatch.setenv(READY_FD, str(said))
    notify_ready()
    notify_ready()
    with os.fdopen(heard, "rb") as listener:
        assert listener.read() == b"ready\n"
    assert READY_FD not in os.environ


def test_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READY_FD, raising=False)
    notify_ready()
