"""Every door says which model answered when that is not the one that was asked."""

import json
import re
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from ingress.answer import Fold, Writer
from ingress.translate import openai_chat, openai_completions, openai_responses
from ingress.translate.anthropic import MessagesFold, MessagesStreamWriter
from schemas.chunks import AnsweredBy, Chunk, Ended, Finish, TextDelta
from schemas.usage import Usage

CHUNKS: Final[Sequence[Chunk]] = [
    AnsweredBy("other"),
    TextDelta("Hi"),
    Finish("stop"),
    Ended("completed", Usage(1, 1)),
]
REQUEST: Final = openai_responses.parse(json.dumps({"model": "asked", "input": "Hello"}).encode())
HEAD: Final = openai_responses.head(REQUEST, "asked", "job_1", 0, store=False)


def now() -> float:
    return 0.0


WRITERS: Final[Sequence[Callable[[], Writer]]] = [
    lambda: openai_chat.StreamWriter("job_1", "asked", 0, True),
    lambda: openai_completions.CompletionStreamWriter("job_1", "asked", 0, True),
    lambda: openai_responses.ResponsesStreamWriter(HEAD, now),
    lambda: MessagesStreamWriter("job_1", "asked", 1),
]
FOLDS: Final[Sequence[Callable[[], Fold]]] = [
    lambda: openai_chat.ReplyFold("job_1", "asked", 0),
    lambda: openai_completions.CompletionFold("job_1", "asked", 0),
    lambda: openai_responses.ResponsesFold(HEAD, now),
    lambda: MessagesFold("job_1", "asked"),
]


@pytest.mark.parametrize("made", WRITERS)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_stream_names_it_from_its_first_event_on(made: Callable[[], Writer], at_once: bool) -> None:
    writer = made()
    calls = [CHUNKS] if at_once else [[chunk] for chunk in CHUNKS]
    stream = b"".join(writer.write(call) for call in calls).decode()
    assert set(re.findall(r'"model": ?"(\w+)"', stream)) == {"other"}


@pytest.mark.parametrize("made", FOLDS)
def test_a_reply_names_it(made: Callable[[], Fold]) -> None:
    fold = made()
    fold.add(CHUNKS)
    assert fold.error is None
    assert json.loads(fold.reply())["model"] == "other"
