"""Rows as OpenAI's and Anthropic's batches have them, and the files that are read out of segments."""

import json
from pathlib import Path

import pytest

from ingress.batches.answers import Named, answered, line_job_id, refused, stopped
from ingress.batches.segments import rows_of
from schemas.errors import InvalidValue
from storage.object_folder import ObjectFolder

OPENAI = Named("batch_77", 3, "mine", "openai")
ANTHROPIC = Named("batch_77", 3, "mine", "anthropic")
WRONG = InvalidValue("'top_p' should be at most 1.", param="top_p")


def test_an_answer_in_openais_words() -> None:
    row = answered(OPENAI, "job_1", b'{"id": "chatcmpl-1"}')
    assert (row.line, row.failed) == (3, False)
    assert json.loads(row.value) == {
        "id": "batch_req_77_3",
        "custom_id": "mine",
        "response": {"status_code": 200, "request_id": "job_1", "body": {"id": "chatcmpl-1"}},
        "error": None,
    }


def test_a_refusal_says_what_http_would_have() -> None:
    row = refused(OPENAI, "job_1", "/v1/chat/completions", WRONG)
    told = json.loads(row.value)
    assert row.failed
    assert (told["error"], told["response"]["status_code"]) == (None, 400)
    assert told["response"]["body"]["error"]["param"] == "top_p"


@pytest.mark.parametrize("code", ["batch_expired", "batch_cancelled"])
def test_a_line_that_came_to_nothing(code: str) -> None:
    told = json.loads(stopped(OPENAI, code).value)
    assert (told["response"], told["error"]["code"]) == (None, code)


def test_anthropics_words() -> None:
    good = answered(ANTHROPIC, "job_1", b'{"type": "message"}')
    assert json.loads(good.value) == {
        "custom_id": "mine",
        "result": {"type": "succeeded", "message": {"type": "message"}},
    }
    bad = json.loads(refused(ANTHROPIC, "job_1", "/v1/messages", WRONG).value)
    assert bad["result"]["type"] == "errored"
    assert bad["result"]["error"]["error"]["type"] == "invalid_request_error"
    assert json.loads(stopped(ANTHROPIC, "batch_expired").value)["result"] == {"type": "expired"}
    assert json.loads(stopped(ANTHROPIC, "batch_cancelled").value)["result"] == {"type": "canceled"}


def test_a_lines_job_is_the_same_whoever_reads_it_and_no_other_lines() -> None:
    ids = {line_job_id(batch, 5, line) for batch in ("batch_1", "batch_11") for line in range(100)}
    assert len(ids) == 200
    assert line_job_id("batch_1", 5, 7) == line_job_id("batch_1", 5, 7)


async def test_the_first_row_that_was_counted_is_the_lines_own(tmp_path: Path) -> None:
    objects = ObjectFolder(tmp_path)
    await objects.put_all({"b/1": b'0 0 {"a": "x y"}\n2 1 {"c": 1}\n', "b/2": b'0 1 {"late": 1}\n1 0 {"b": 1}\n'})
    good = [row async for row in rows_of(objects, ["b/1", "b/2"], failed=False)]
    bad = [row async for row in rows_of(objects, ["b/1", "b/2"], failed=True)]
    assert (good, bad) == ([b'{"a": "x y"}\n', b'{"b": 1}\n'], [b'{"c": 1}\n'])
