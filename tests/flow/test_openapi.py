"""Schemathesis reads the OpenAPI document and asks what it can think of; nothing it finds is a 5xx."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from storage.keys import NewKey
from tests.stack import Stack

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="session")]

EXAMPLES: Final = "20"
"""Requests of each kind for each operation."""

MOST_S: Final = 90.0

LONG: Final = "^/v1/(video|async-invoke|batches|files)"
"""Half of the paths, which are long jobs'."""


async def test_the_document_describes_the_door(stack: Stack) -> None:
    document = await document_of(stack)
    assert {"/v1/models", "/v1/models/{model_id}", "/v1/chat/completions", "/v1/usage"} <= document["paths"].keys()
    asked = document["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert asked["$ref"].rpartition("/")[2] in document["components"]["schemas"]


@pytest.mark.parametrize("path", ["/v1/models/{model_id}", "/v1/messages", "/v1/videos/{video_id}", "/v1/async-invoke"])
async def test_the_document_says_how_a_request_is_refused(stack: Stack, path: str) -> None:
    document = await document_of(stack)
    ((method, operation), *_) = document["paths"][path].items()
    assert "422" not in operation["responses"]
    named = operation["responses"]["default"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schemas = document["components"]["schemas"]
    async with httpx2.AsyncClient(base_url=stack.url, trust_env=False) as http:
        told = (await http.request(method, path)).json()
    assert told.keys() == set(schemas[named]["required"])
    inner = schemas[named]["properties"]["error"]["$ref"].rpartition("/")[2]
    assert told["error"].keys() == set(schemas[inner]["required"])


@pytest.mark.parametrize("which", ["--include-path-regex", "--exclude-path-regex"])
async def test_schemathesis_finds_no_5xx(stack: Stack, key: NewKey, tmp_path: Path, which: str) -> None:
    await hunt(stack, key, await document_of(stack), tmp_path, which, LONG)


async def test_schemathesis_finds_no_5xx_behind_the_contract(stack: Stack, key: NewKey, tmp_path: Path) -> None:
    """Told what the model accepts, it asks for answers that an engine gives."""
    document = await document_of(stack)
    async with stack.client(key.secret) as http:
        supported = (await http.get("/v1/models/scripted")).json()["supported_parameters"]
    request = document["components"]["schemas"]["ChatCompletionRequest"]
    # The scripted upstream gives one choice, however many are asked for.
    kept = {"stream", "user", "metadata", *supported} & request["properties"].keys() - {"n"}
    request["properties"] = {name: request["properties"][name] for name in kept} | {
        "model": {"enum": ["scripted", "brief"]},
        "messages": {
            "type": "array",
            "minItems": 1,
            "maxItems": 3,
            "items": {
                "type": "object",
                "properties": {"role": {"enum": ["system", "user", "assistant"]}, "content": {"type": "string"}},
                "required": ["role", "content"],
                "additionalProperties": False,
            },
        },
    }
    await hunt(stack, key, document, tmp_path, "--include-path", "/v1/chat/completions")
    assert len(stack.upstream.asked) > 10


async def document_of(stack: Stack) -> Any:
    async with httpx2.AsyncClient(base_url=stack.url, trust_env=False) as http:
        return (await http.get("/openapi.json")).json()


async def hunt(stack: Stack, key: NewKey, document: Any, folder: Path, *words: str) -> None:
    """Has Schemathesis ask what the document describes, and finds that nothing was answered with a 5xx."""
    file = folder / "openapi.json"
    file.write_text(json.dumps(document))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", file, "--url", stack.url, *words),
        *("--checks", "not_a_server_error", "--header", f"Authorization: Bearer {key.secret}"),
        *("--max-examples", EXAMPLES, "--request-timeout", "20", "--seed", "7", "--no-color"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(MOST_S):
            said, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        raise
    assert process.returncode == 0, said.decode()
    assert await stack.metric("penstock_ingress_errors_total", code="internal_error") == 0
    await stack.until_free(key.key.account)
