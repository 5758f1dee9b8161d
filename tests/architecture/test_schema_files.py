"""The JSON Schemas in the documents are those of the code, and say of a message what the log's door says of it."""

import json
from typing import get_args

import jsonschema
import msgspec
import pytest

from ingress.operations.table import DIRECT, LONG, OPERATIONS
from schemas.wire.submissions import DECODER, Asked
from tests.architecture.schema_files import FOLDER, files

GOOD = {"operation": "/v1/chat/completions", "body": {"model": "m", "messages": []}}


def test_schema_files_are_current() -> None:
    found = {file.name: file.read_text() for file in FOLDER.glob("*.json")}
    assert found == files(), "run: python -m tests.architecture.schema_files"


def test_what_can_be_submitted_is_what_there_are_operations_for() -> None:
    assert set(get_args(Asked)) == {*OPERATIONS, *LONG, *DIRECT}


@pytest.mark.parametrize(
    "changed",
    [
        {"operation": "/v1/nothing"},
        {"correlation_id": 7},
        {"correlation_id": "c" * 513},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 256},
        {"surprise": 1},
    ],
)
def test_a_schema_refuses_what_the_door_refuses(changed: dict[str, object]) -> None:
    schema = json.loads(files()["submission.json"])
    jsonschema.validate(GOOD, schema)
    DECODER.decode(json.dumps(GOOD))
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**GOOD, **changed}, schema)
    with pytest.raises(msgspec.ValidationError):
        DECODER.decode(json.dumps({**GOOD, **changed}))
