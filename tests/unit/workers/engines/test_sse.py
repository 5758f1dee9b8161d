"""Server-sent events, with the examples of the specification (WHATWG HTML, 9.2.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import EngineFailed
from workers.engines.sse import MAX_EVENT_BYTES, EventData


def events_of(*pieces: bytes) -> list[bytes]:
    fold = EventData()
    found = [event for piece in pieces for event in fold.feed(piece)]
    return found + fold.end()


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"], id="the specification's three lines"),
        pytest.param(
            b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
            [b"first event", b"second event", b" third event"],
            id="the specification's comments, ids and spaces",
        ),
        pytest.param(b"data:test\n\ndata: test\n\n", [b"test", b"test"], id="with and without the space"),
        pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="CRLF"),
        pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR"),
        pytest.param(b"event: error\ndata: {}\n\n", [b"{}"], id="a named event"),
        pytest.param(b"data: a\n\n\n\n: ping\n\n\ndata: b\n\n", [b"a", b"b"], id="blank lines and pings between"),
        pytest.param(b"data: [DONE]", [b"[DONE]"], id="an end without its blank line"),
        pytest.param(b"<html>\n\n</html>", [], id="no event stream at all"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_data_of_events(stream: bytes, events: list[bytes]) -> None:
    assert events_of(stream) == events
    assert events_of(*(stream[at : at + 1] for at in range(len(stream)))) == events


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6),
    ending=st.sampled_from(["\n", "\r\n"]),
    data=st.data(),
)
def test_any_cut_of_the_bytes_gives_the_same_events(texts: list[str], ending: str, data: st.DataObject) -> None:
    stream = "".join(f"data: {text}{ending}{ending}" for text in texts).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    pieces = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert events_of(*pieces) == [text.encode() for text in texts]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    fold = EventData()
    assert fold.feed(b"data: a\n") == []
    assert fold.feed(b"\ndata: b") == [b"a"]
    assert fold.feed(b"\n\n") == [b"b"]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"], ids=["line", "lines"])
def test_an_event_without_an_end_is_an_error_and_not_a_full_memory(piece: bytes) -> None:
    fold = EventData()
    for _ in range(MAX_EVENT_BYTES // len(piece)):
        fold.feed(piece)
    with pytest.raises(EngineFailed):
        fold.feed(piece)


def test_a_very_long_line_below_the_bound_is_whole() -> None:
    long = b"y" * (MAX_EVENT_BYTES - 100)
    stream = b"data: " + long + b"\n\n"
    assert events_of(*(stream[at : at + 65536] for at in range(0, len(stream), 65536))) == [long]
