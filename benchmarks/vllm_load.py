"""vLLM's own load generator, asked for a round at a time; it runs in vLLM's environment (`vllm_bench.py`)."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Self

import msgspec

from benchmarks.stack import CommandFailed
from tests.integration.vllm.engine import ENVIRONMENT

PROGRAM: Final = Path(__file__).with_name("vllm_bench.py")


class Question(msgspec.Struct, frozen=True):
    """A user's message, and how many tokens to answer it with."""

    prompt: str
    output_tokens: int


class Round(msgspec.Struct, frozen=True):
    """What is asked of one server; `url` is without /v1."""

    url: str
    key: str
    model: str
    at_once: int
    questions: list[Question]


class Seen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a round showed; `first_ms` is the median of the first tokens."""

    answered: int
    failed: int
    input_tokens: int
    output_tokens: int
    tokens_per_s: float
    first_ms: float
    first_failure: str | None


class VLLMLoad:
    """The generator's process, which has imported all it needs."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log

    @classmethod
    @asynccontextmanager
    async def running(cls, python: Path, folder: Path, tokenizer: Path) -> AsyncIterator[Self]:
        """Its log and its questions are in `folder`; `tokenizer` is the folder of the served checkpoint."""
        log = folder / "load.log"
        with log.open("wb") as written:
            # Without -P this folder's vllm.py would be found for vLLM itself.
            process = await asyncio.create_subprocess_exec(
                *(python, "-P", PROGRAM, tokenizer, folder / "questions.jsonl"),
                env={**os.environ, **ENVIRONMENT},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=written,
            )
        try:
            yield cls(process, log)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()

    async def ask(self, asked: Round) -> Seen:
        """Raises CommandFailed when the generator gives up."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(asked) + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise CommandFailed(f"vLLM's load generator gave up: see {self._log}")
        return msgspec.json.decode(line, type=Seen)
