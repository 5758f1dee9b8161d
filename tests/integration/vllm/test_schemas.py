"""Our names and our config, by what the installed vLLM and Ray themselves make of them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from schemas.vllm_names import ACCELERATORS, QUANTIZATIONS, REASONING_PARSERS, TOOL_PARSERS
from tests.integration.vllm.engine import PYTHON, ROOT

EXAMPLE = ROOT / "deploy" / "catalog.gpu.yaml"


@pytest.fixture(scope="module")
def known() -> dict[str, Any]:
    command = [sys.executable, "-m", "workers.ray_serve", "--config", "--catalog", EXAMPLE]
    config = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    program = Path(__file__).with_name("schemas.py")
    read = subprocess.run([PYTHON, program], input=config, capture_output=True, text=True, check=False, timeout=300)
    assert read.returncode == 0, read.stderr[-2000:]
    return dict(json.loads(read.stdout.splitlines()[-1]))


def test_our_parsers_are_vllms(known: dict[str, Any]) -> None:
    assert set(known["tool_parsers"]) == TOOL_PARSERS
    assert set(known["reasoning_parsers"]) == REASONING_PARSERS


def test_our_quantizations_are_vllms(known: dict[str, Any]) -> None:
    assert set(known["quantizations"]) == QUANTIZATIONS


def test_our_accelerators_are_rays(known: dict[str, Any]) -> None:
    assert set(known["accelerators"]) >= ACCELERATORS


def test_ray_and_vllm_read_the_example_as_it_is_meant(known: dict[str, Any]) -> None:
    llama = known["applications"]["llama-3-3-70b-instruct"]
    assert (llama["bundles"], llama["strategy"]) == ([{"GPU": 1}] * 4, "STRICT_PACK")
    assert (llama["max_model_len"], llama["tool_call_parser"], llama["max_lora_rank"]) == (131_072, "llama3_json", 32)
    bounds = llama["deployments"]["LLMServer:llama-3-3-70b-instruct"]
    assert (bounds["autoscaling_config"]["max_replicas"], bounds["max_surge_percent"]) == (2, 1)
