"""llama.cpp's events to deltas; the events are recorded from llama.cpp b11549, shortened."""

import json
from typing import Any

import pytest

from schemas.chunks import Finish, TextDelta
from schemas.errors import ContextLengthExceeded, EngineFailed, InvalidRequest, PenstockError, StreamCut
from schemas.usage import Usage
from workers.engines.llama_stream import ChoiceStream, total


def event(choice: dict[str, Any], **extra: Any) -> bytes:
    return json.dumps({"choices": [{"finish_reason": None, "index": 0, **choice}], "id": "c-1", **extra}).encode()


TIMINGS = {"cache_n": 30, "prompt_n": 1, "prompt_ms": 6.016, "predicted_n": 2, "predicted_ms": 6.406}
TOKEN = {"id": 28, "token": ",", "bytes": [44], "logprob": -1.2}


def test_a_generation() -> None:
    stream = ChoiceStream("m", 1, 0)
    progress = {"total": 31, "cache": 30, "processed": 31, "time_ms": 6}
    nothing_yet = {**TIMINGS, "predicted_n": 0}
    opening = event({"delta": {"role": "assistant", "content": None}}, prompt_progress=progress, timings=nothing_yet)
    assert stream.fold(opening) == []
    assert stream.usage is None, "nothing is used up before there is output"
    assert stream.fold(event({"delta": {"content": "Bon"}}, timings=TIMINGS)) == [TextDelta("Bon", 1)]
    assert stream.usage == Usage(input_tokens=31, output_tokens=2, cached_input_tokens=30)
    assert stream.fold(event({"finish_reason": "length", "delta": {}})) == [Finish("length", 1)]
    final = {"completion_tokens": 3, "prompt_tokens": 31, "prompt_tokens_details": {"cached_tokens": 30}}
    assert stream.fold(json.dumps({"choices": [], "usage": final, "timings": TIMINGS}).encode()) == []
    assert stream.usage == Usage(input_tokens=31, output_tokens=3, cached_input_tokens=30)
    stream.end(None)
    assert stream.failure is None


@pytest.mark.parametrize(("kind", "word", "hit"), [("word", "three", "three"), ("eos", "", None)])
def test_the_stop_sequence_that_was_hit_is_told(kind: str, word: str, hit: str | None) -> None:
    told = {"__verbose": {"content": "", "stop": True, "stop_type": kind, "stopping_word": word, "prompt": "x"}}
    sent = event({"finish_reason": "stop", "delta": {}}, **told)
    assert ChoiceStream("m", 0, 0).fold(sent) == [Finish("stop", 0, hit)]


@pytest.mark.parametrize("top", [0, 1])
def test_logprobs_are_no_more_than_was_asked_for(top: int) -> None:
    sent = event({"delta": {"content": ","}, "logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN, TOKEN]}]}})
    shown = {"token": ",", "bytes": [44], "logprob": -1.2}
    assert ChoiceStream("m", 0, top).fold(sent) == [TextDelta(",", 0, [{**shown, "top_logprobs": [shown] * top}])]


@pytest.mark.parametrize(
    ("error", "branch"),
    [
        (
            {
                "code": 400,
                "message": "request (5031 tokens) exceeds the available context size (4096 tokens), try increasing it",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 5031,
                "n_ctx": 4096,
            },
            ContextLengthExceeded,
        ),
        (
            {"code": 400, "message": "Field 'temperature': must be number", "type": "invalid_request_error"},
            InvalidRequest,
        ),
    ],
)
def test_errors(error: dict[str, Any], branch: type[PenstockError]) -> None:
    stream = ChoiceStream("m", 0, 0)
    assert stream.fold(json.dumps({"error": error}).encode()) == []
    assert type(stream.failure) is branch
    if branch is ContextLengthExceeded:
        assert "5031" in stream.failure.message
        assert "increas" not in stream.failure.message


def test_an_end_without_a_finish_is_a_cut() -> None:
    stream = ChoiceStream("m", 0, 0)
    stream.end(None)
    assert isinstance(stream.failure, StreamCut)


def test_what_llama_cpp_raises_is_the_engines_failure() -> None:
    stream, raised = ChoiceStream("m", 0, 0), RuntimeError("ggml")
    stream.end(raised)
    assert type(stream.failure) is EngineFailed
    assert stream.failure.__cause__ is raised


def test_of_several_choices_the_prompt_counts_once() -> None:
    assert total([Usage(31, 5, 0), Usage(31, 7, 30)]) == Usage(31, 12, 0)
