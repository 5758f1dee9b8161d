"""What the installed vLLM and Ray know, for our lists to be held to: run as a program by the environment that has them.

Reads a config of Ray Serve as YAML, has Ray and vLLM read it, and writes JSON.
"""

import json
import sys

import yaml
from ray.llm._internal.serve.core.ingress.builder import LLMServingArgs
from ray.llm._internal.serve.engines.vllm.vllm_models import VLLMEngineConfig
from ray.serve.schema import ServeDeploySchema
from ray.util.accelerators import accelerators
from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS
from vllm.reasoning import ReasoningParserManager
from vllm.tool_parsers import ToolParserManager


def read(config: dict[str, object]) -> dict[str, dict[str, object]]:
    """For each application what vLLM will be told, by argument; Ray and vLLM raise on what they do not know."""
    schema = ServeDeploySchema.model_validate(config)
    told = {}
    for each in schema.applications:
        (llm,) = LLMServingArgs.model_validate(each.args).llm_configs
        engine = VLLMEngineConfig.from_llm_config(llm)
        bundles = [{name: count for name, count in bundle.items() if count >= 1} for bundle in engine.placement_bundles]
        told[each.name] = {
            **engine.engine_kwargs,
            **engine.frontend_kwargs,
            "bundles": bundles,
            "strategy": engine.placement_strategy,
            "deployments": {one.name: one.model_dump(exclude_unset=True) for one in each.deployments},
        }
    return told


if __name__ == "__main__":
    known = {
        "tool_parsers": sorted(ToolParserManager.list_registered()),
        "reasoning_parsers": sorted(ReasoningParserManager.list_registered()),
        "quantizations": sorted(QUANTIZATION_METHODS),
        "accelerators": sorted(value for name, value in vars(accelerators).items() if not name.startswith("_")),
        "applications": read(yaml.safe_load(sys.stdin)),
    }
    print(json.dumps(known, default=str))
