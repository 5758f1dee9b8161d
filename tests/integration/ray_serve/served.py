"""A catalogue of two models of the same weights on one pool, and a third that is both of them: what is asked where."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.integration.ray_serve.head import CPUS, RayHead
from tests.integration.vllm.engine import (
    CONTEXT_TOKENS,
    ENVIRONMENT,
    NAME,
    REASONING_PARSER,
    STEERED,
    TOOL_PARSER,
    VLLM,
)

APART: Final = ("east", "west")
"""One Ray Serve application each."""
BOTH: Final = "both"
DEPLOY_S: Final = 600
FIRST_CHUNK_S: Final = 10
"""Ray keeps requests that come while a model has no replica, so this is what tells that there is none."""


class Served:
    """The catalogue's file, the applications that it makes of `head`, and `penstock serve-models` over it."""

    def __init__(self, head: RayHead, weights: Path, file: Path) -> None:
        self.head = head
        self.file = file
        self._weights = weights
        self.write({})

    def write(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """`changes` are of a row's `serving` part, by the row's id."""
        shared = {
            "engine": "vllm",
            "upstream_model": NAME,
            "context_tokens": CONTEXT_TOKENS,
            "max_output_tokens": CONTEXT_TOKENS - 100,
            "timeouts": {"first_chunk_s": FIRST_CHUNK_S},
            "price": {"input_usd_per_mtok": 1, "output_usd_per_mtok": 2},
        }
        pool = {
            "name": "cores",
            "accelerator": "cpu",
            "accelerators_per_node": CPUS,
            "clusters": [
                {"url": self.head.serve, "dashboard": self.head.dashboard, "metrics": [self.head.metrics]},
            ],
        }
        serving = {
            "pool": "cores",
            "weights": str(self._weights),
            "dtype": "float32",
            "tool_parser": TOOL_PARSER,
            "reasoning_parser": REASONING_PARSER,
            "env": dict(ENVIRONMENT),
            "engine_kwargs": {"enforce_eager": True, "gpu_memory_utilization": 0.3, **STEERED},
        }
        one, other = (f"{self.head.serve}/{name}/v1" for name in APART)
        rows = [{**shared, "id": name, "serving": {**serving, **changes.get(name, {})}} for name in APART]
        rows.append({**shared, "id": BOTH, "base_url": one, "replicas": [other]})
        self.file.write_text(yaml.safe_dump({"pools": [pool], "models": rows}))

    def directly(self, name: str) -> VLLM:
        """An application, asked without Penstock between."""
        return VLLM(f"{self.head.serve}/{name}")

    async def deploy(self) -> tuple[int, str]:
        """Exit status and output of `penstock serve-models`."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "penstock", "serve-models"),
            *("--catalog", str(self.file), "--wait-s", str(DEPLOY_S)),
            env={**os.environ, "RAY_AUTH_TOKEN": self.head.token},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return process.returncode or 0, output.decode()
