"""Claude Code, as `make test-clients` installs it, against a Penstock and scripted upstreams of both dialects."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from storage.keys import NewKey
from storage.local.kafka_program import KafkaProgram
from tests import anthropic_upstream as messages
from tests import upstream as chat
from tests.stack import Stack, running_stack
from tests.upstream import Reply

INSTALLED: Final = Path(__file__).parents[2] / ".clients" / "node_modules" / ".bin"
CLAUDE: Final = shutil.which("claude", path=f"{INSTALLED}{os.pathsep}{os.environ['PATH']}")
PATIENCE_S: Final = 90

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(CLAUDE is None, reason="Claude Code is not installed"),
]

ROOM: Final[dict[str, Any]] = {"context_tokens": 200_000, "max_output_tokens": 64_000}
ROWS: Final[list[dict[str, Any]]] = [
    {"id": "claude-by-messages", "engine": "anthropic", **ROOM},
    {"id": "claude-by-chat", **ROOM},
]
MODELS = pytest.mark.parametrize("model", [row["id"] for row in ROWS])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, kafka_program: KafkaProgram) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("stack"), kafka_program, rows=ROWS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def key(stack: Stack) -> NewKey:
    stack.upstream.reset()
    return await stack.create_key("coder")


async def run(stack: Stack, key: NewKey, model: str, folder: Path, prompt: str, *words: str) -> dict[str, Any]:
    """What Claude Code says of one prompt, asked in `folder`, which is its home as well."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANTHROPIC_BASE_URL": stack.url,
        "ANTHROPIC_API_KEY": key.secret,
        "ANTHROPIC_MODEL": model,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
    }
    assert CLAUDE is not None
    process = await asyncio.create_subprocess_exec(
        CLAUDE, "-p", prompt, "--output-format", "json", *words,
        cwd=folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        told, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    finally:
        if process.returncode is None:
            process.kill()
    result: dict[str, Any] = json.loads(told)
    return result


def answer(model: str, text: str) -> Reply:
    return (chat if model == "claude-by-chat" else messages).answer(text)


def reading(model: str, file: Path) -> Reply:
    """A call of Claude Code's own tool."""
    arguments = json.dumps({"file_path": str(file)})
    if model == "claude-by-messages":
        return messages.stream(messages.tool_use(0, "toolu_1", "Read", arguments), messages.end("tool_use"))
    function = {"name": "Read", "arguments": arguments}
    call = {"index": 0, "id": "toolu_1", "type": "function", "function": function}
    called = chat.chunk({"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None})
    return Reply([chat.opening(), called, chat.finish("tool_calls"), chat.usage(7, 3), chat.DONE])


@MODELS
async def test_it_answers(stack: Stack, key: NewKey, tmp_path: Path, model: str) -> None:
    stack.upstream.otherwise = answer(model, "Hello from upstream.")
    told = await run(stack, key, model, tmp_path, "hi")
    assert (told["result"], told["is_error"]) == ("Hello from upstream.", False)


@MODELS
async def test_its_tools_make_the_round_trip(stack: Stack, key: NewKey, tmp_path: Path, model: str) -> None:
    file = tmp_path / "note.txt"
    file.write_text("the word is penstock\n")
    stack.upstream.script(reading(model, file))
    stack.upstream.otherwise = answer(model, "I have read it.")
    told = await run(stack, key, model, tmp_path, "Read note.txt", "--allowedTools", "Read")
    assert told["result"] == "I have read it."
    assert "the word is penstock" in json.dumps(stack.upstream.asked[-1].body["messages"])


@MODELS
async def test_it_comes_back_after_an_overload(stack: Stack, key: NewKey, tmp_path: Path, model: str) -> None:
    if model == "claude-by-messages":
        refused = messages.refusal(529, "overloaded_error", "Overloaded", **{"retry-after": "0"})
    else:
        refused = chat.refusal(503, {"message": "busy"}, **{"retry-after": "0"})
    # As often as the worker tries, so that the caller hears of it once.
    stack.upstream.script(*[refused] * 3)
    stack.upstream.otherwise = answer(model, "Here I am.")
    told = await run(stack, key, model, tmp_path, "hi")
    assert told["result"] == "Here I am."
