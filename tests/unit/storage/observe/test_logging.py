import json
import logging
from collections.abc import Iterator

import pytest

from storage.observe.logging import configure
from storage.settings import ObserveSettings


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_record_is_one_line_with_its_event_its_part_and_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", ObserveSettings())
    logging.getLogger("workers.loop").info("job_ended", extra={"job_id": "job_1", "attempt": 2, "text": "a\nb"})
    (line,) = lines(capsys)
    assert line.pop("timestamp")
    assert line == {
        "event": "job_ended",
        "part": "worker",
        "level": "info",
        "logger": "workers.loop",
        "job_id": "job_1",
        "attempt": 2,
        "text": "a\nb",
    }


def test_a_failure_stays_on_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", ObserveSettings())
    logging.getLogger("x").error("failed", exc_info=ValueError("why"), extra={"odd": object()})
    (line,) = lines(capsys)
    assert "ValueError: why" in str(line["exception"])
    assert line["level"] == "error"


def test_what_libraries_say_below_a_warning_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", ObserveSettings(log_level="debug"))
    logging.getLogger("sqlalchemy.engine").info("noise")
    logging.getLogger("aiokafka.client").error("twenty a second")
    logging.getLogger("workers").debug("ours")
    logging.getLogger("sqlalchemy.pool").warning("trouble")
    assert [line["event"] for line in lines(capsys)] == ["ours", "trouble"]


def test_levels_bind(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", ObserveSettings(log_level="warning"))
    logging.getLogger("workers").info("quiet")
    logging.getLogger("workers").warning("heard")
    assert [line["event"] for line in lines(capsys)] == ["heard"]


def test_for_a_person_it_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    configure("worker", ObserveSettings(log_format="console"))
    logging.getLogger("workers").info("job_ended", extra={"job_id": "job_1"})
    text = capsys.readouterr().err
    assert "job_ended" in text
    assert "job_1" in text
    assert not text.startswith("{")
