"""A real vLLM on the CPU, serving a checkpoint made on the spot, and what it says when it is asked directly."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from storage.local.child import Child
from storage.local.ports import free_port

ROOT: Final = Path(__file__).parents[3]
PYTHON: Final = Path(os.environ.get("PENSTOCK_TEST_VLLM", ROOT / ".venv-vllm" / "bin" / "python"))
"""Of an environment that has vLLM, as `make test-vllm` makes one."""

ENGINE_CORE: Final = min(os.sched_getaffinity(0))
ONE_CORE: Final = ("taskset", "--cpu-list", str(ENGINE_CORE))
"""Its processes wait for each other in busy loops. Let loose on two cores, they were seen to leave everything else
without time for half a minute on end: Redis and Kafka's heartbeats went unanswered, and that a client had left was
heard when its answer was nearly whole (2026-11). An engine on a GPU does not fight the platform for its cores.
"""

NAME: Final = "tiny"
CONTEXT_TOKENS: Final = 32_768
"""Room for an answer that takes half a minute, so that a client can leave while it is given."""
START_S: Final = 240.0
STOP_S: Final = 10.0

ENVIRONMENT: Final[Mapping[str, str]] = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
SHARED: Final[tuple[str, ...]] = (
    "--served-model-name", NAME, "--host", "127.0.0.1",
    # Single precision, for equal text however requests are batched; on a CPU the last is a share of memory.
    "--dtype", "float32", "--enforce-eager", "--gpu-memory-utilization", "0.3",
)  # fmt: skip
TOOL_PARSER: Final = "hermes"
REASONING_PARSER: Final = "deepseek_v3"
STEERED: Final[Mapping[str, Any]] = {
    "override_generation_config": {"temperature": 0},
    "reasoning_config": {"reasoning_start_str": "<think>", "reasoning_end_str": "</think>"},
    # Left to itself, a model that knows nothing fills an object with white space for ever.
    "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
}
"""vLLM's own arguments that let such a model say what a test is about."""

ARGUMENTS: Final[tuple[str, ...]] = (
    "--max-model-len", str(CONTEXT_TOKENS),
    "--enable-auto-tool-choice", "--tool-call-parser", TOOL_PARSER,
    "--reasoning-parser", REASONING_PARSER,
    "--enable-prompt-tokens-details",
    *(word for name, value in STEERED.items() for word in (f"--{name.replace('_', '-')}", json.dumps(value))),
)  # fmt: skip


class VLLM:
    """A running server, asked without Penstock between."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx2.AsyncClient(base_url=url, timeout=60, trust_env=False)

    async def post(self, path: str, **fields: Any) -> tuple[int, Any]:
        """Status and body of an answer that is no stream."""
        response = await self._http.post(path, json={"model": NAME, **fields})
        return response.status_code, response.json()

    async def metric(self, name: str, **labels: str) -> float:
        text = (await self._http.get("/metrics")).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(each.value for each in samples if each.name == name and labels.items() <= each.labels.items())

    async def healthy(self) -> bool:
        with suppress(httpx2.TransportError):
            return (await self._http.get("/health")).status_code == 200
        return False

    async def close(self) -> None:
        await self._http.aclose()


@asynccontextmanager
async def running_vllm(folder: Path, *size: int) -> AsyncIterator[VLLM]:
    """One server over a new checkpoint in `folder`, where its log stays; `size` is as in `checkpoint`."""
    weights = await checkpoint(folder, *size)
    async with serving(weights, ARGUMENTS, folder / "vllm.log") as engine:
        yield engine


async def checkpoint(folder: Path, *size: int) -> Path:
    """A new one in `folder`; `size` are its layers and their width, where those are not as small as can be."""
    weights = folder / "checkpoint"
    program = Path(__file__).with_name("checkpoint.py")
    made = await asyncio.create_subprocess_exec(PYTHON, program, weights, *map(str, (CONTEXT_TOKENS, *size)))
    assert await made.wait() == 0
    return weights


@asynccontextmanager
async def serving(weights: Path, arguments: Sequence[str], log: Path) -> AsyncIterator[VLLM]:
    """A server over a checkpoint that there is."""
    port = free_port()
    command = [str(PYTHON), "-m", "vllm.entrypoints.openai.api_server", "--model", str(weights), "--port", str(port)]
    child = await Child.spawn("vllm", [*ONE_CORE, *command, *SHARED, *arguments], log, env=ENVIRONMENT)
    engine = VLLM(f"http://127.0.0.1:{port}")
    try:
        async with asyncio.timeout(START_S):
            while not await engine.healthy():
                if not child.running:
                    raise child.died()
                await asyncio.sleep(0.2)
        yield engine
    finally:
        await engine.close()
        await child.stop(STOP_S)
        # Its engine is a process of its own in the same group, which a killed server leaves behind.
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
