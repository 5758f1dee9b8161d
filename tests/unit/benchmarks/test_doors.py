"""The marks by which the load generator knows an answer, against what the doors write."""

import pytest

from benchmarks.beside import Beside, DoorRow
from benchmarks.doors import CHAT, MESSAGES, RESPONSES, UNSTORED, Door
from ingress.answer import Writer
from ingress.translate.anthropic import MessagesStreamWriter
from ingress.translate.openai_chat import StreamWriter
from ingress.translate.openai_responses import ResponsesStreamWriter, head, parse
from schemas.chunks import Ended, Finish, TextDelta
from schemas.usage import Usage


def responses() -> Writer:
    return ResponsesStreamWriter(head(parse(b'{"model": "m", "input": "Hi"}'), "m", "job_1", 1, store=True), lambda: 1)


@pytest.mark.parametrize(
    ("door", "writer"),
    [
        (CHAT, StreamWriter("job_1", "m", 1, include_usage=False)),
        (RESPONSES, responses()),
        (UNSTORED, responses()),
        (MESSAGES, MessagesStreamWriter("job_1", "m", 1)),
    ],
    ids=lambda each: each.name if isinstance(each, Door) else "",
)
def test_every_piece_of_a_stream_is_counted_once_and_its_end_is_no_piece(door: Door, writer: Writer) -> None:
    pieces = [writer.write([TextDelta(text)]) for text in ("The", " tide", " turns")]
    assert [written.count(door.piece) for written in pieces] == [1, 1, 1]
    assert all(door.end not in written for written in pieces)
    end = writer.write([Finish("stop"), Ended("completed", Usage(1, 3))])
    assert end.count(door.end) == 1
    assert door.piece not in end


def test_a_door_is_held_against_chat() -> None:
    chat = DoorRow("chat", 100, 0, None, added_first_ms=4.0, per_s=500.0, ingress_ms=0.5)
    messages = DoorRow("messages", 100, 0, None, added_first_ms=5.0, per_s=400.0, ingress_ms=0.6)
    silent = DoorRow("responses", 0, 100, "status 500", None, None, None)
    beside = Beside("streams", stream=True, at_once=1, rows=[chat, messages, silent])
    assert beside.added_to_chat("messages") == 1.25
    assert beside.rate_to_chat("messages") == 0.8
    assert beside.cpu_to_chat("messages") == pytest.approx(1.2)
    assert beside.rate_to_chat("responses") is None
