"""The last words of a program are those that tell a person what went wrong."""

from pathlib import Path

import pytest

from storage.local.last_words import last_words

JAVA = """\
ERROR Exiting Kafka due to fatal exception
java.net.BindException: Address already in use
	at java.base/sun.nio.ch.Net.bind0(Native Method)
	... 11 more

"""


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("", ""),
        ("one\ntwo\n\n", "two"),
        (JAVA, "java.net.BindException: Address already in use"),
        ('{"event": "cannot_start", "reason": "no such\\nmodel"}\n', "no such model"),
        ('{"event": "ready"}\n', "ready"),
        ('{"event": "Traceback:\\n  File x\\nTypeError: one\\n"}\n', "TypeError: one"),
        ('{"event": "why"}\n{"event": "Application startup failed. Exiting."}\n', "why"),
        ('{"not": "an event"}\n', '{"not": "an event"}'),
        ("{half\n", "{half"),
    ],
)
def test_last_words(written: str, words: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n" + written)
    assert last_words(log, len("before\n")) == words
