"""Kafka's jars: what is used is what the lock says, or nothing."""

import hashlib
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from storage.local.failure import StartFailed
from storage.local.jar_fetch import fetch
from storage.local.jars import LOCK, VERSION, Jar, ensure_jars, locked_jars, only_one

CONTENT = b"what a jar holds"
SHA256 = "0a8a0a8a" * 8

WAITER = """
import pathlib, sys
from storage.local.jars import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("mine")
"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is its parent's
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A Maven repository on this machine, with one jar in it, that jgo asks before any other."""
    folder = tmp_path / "mirror" / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    (folder / "thing-1.0.jar.sha1").write_text(hashlib.sha1(CONTENT).hexdigest())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "mirror"))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        settings = tmp_path / "jgo.conf"
        settings.write_text(f"[repositories]\nmirror = http://127.0.0.1:{server.server_port}\n")
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        yield
        server.shutdown()


@pytest.mark.usefixtures("mirror")
def test_a_jar_that_is_what_its_lock_says_is_kept(tmp_path: Path) -> None:
    fetch([Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())], tmp_path / "staging")
    assert (tmp_path / "staging" / "thing-1.0.jar").read_bytes() == CONTENT


@pytest.mark.usefixtures("mirror")
def test_a_jar_that_is_not_what_its_lock_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match=r"thing-1\.0\.jar has SHA-256 .*, its lock says 0a8a"):
        fetch([Jar("org.example", "thing", "1.0", SHA256)], tmp_path / "staging")
    assert not (tmp_path / "staging" / "thing-1.0.jar").exists()


def test_a_cache_that_lost_a_jar_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder.mkdir()
    for jar in locked_jars()[1:]:
        (folder / jar.file_name).touch()
    with pytest.raises(StartFailed, match=f"has lost {locked_jars()[0].file_name}"):
        ensure_jars(tmp_path, lambda *_: None)


def test_the_lock_names_one_kafka_by_hash_and_no_address() -> None:
    text = LOCK.read_text()
    assert "://" not in text
    rows = tomllib.loads(text)["dependencies"]
    assert all(len(bytes.fromhex(row["sha256"])) == 32 for row in rows)
    assert {row["version"] for row in rows if row["groupId"] == "org.apache.kafka"} == {VERSION}


def test_another_process_waits_for_the_one_that_fetches(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with only_one(lock):
        other = subprocess.Popen([sys.executable, "-c", WAITER, str(lock)], stdout=subprocess.PIPE, text=True)
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(timeout=1)
    assert other.communicate(timeout=10)[0] == "mine\n"
