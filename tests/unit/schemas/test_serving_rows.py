from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog import Model
from schemas.serving_rows import Pool, ServingRow

SERVING: dict[str, Any] = {"pool": "h100", "weights": "org/name"}
ROW: dict[str, Any] = {"id": "m", "engine": "vllm", "context_tokens": 2048, "max_output_tokens": 512}
EMBEDDER: dict[str, Any] = {"id": "m", "engine": "vllm", "modality": "embedding", "embedding": {"dimensions": 8}}


def faults(row: dict[str, Any]) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Model.model_validate(row)
    return [error["msg"].removeprefix("Value error, ") for error in caught.value.errors()]


def test_a_replica_takes_an_accelerator_for_each_part_of_the_model() -> None:
    row = ServingRow.model_validate({**SERVING, "tensor_parallel": 8, "pipeline_parallel": 2})
    assert row.accelerators == 16


@pytest.mark.parametrize(
    ("weights", "folder", "from_hub"),
    [
        ("Qwen/Qwen3-8B", None, True),
        ("/models/qwen", "/models/qwen", False),
        ("s3://bucket/qwen", None, False),
        ("gs://bucket/qwen", None, False),
    ],
)
def test_weights_are_on_the_hub_in_a_bucket_or_in_a_folder(weights: str, folder: str | None, from_hub: bool) -> None:
    row = ServingRow.model_validate({**SERVING, "weights": weights})
    assert (row.folder, row.from_hub) == (folder, from_hub)


def test_a_model_that_we_serve_can_what_its_parsers_find() -> None:
    plain = Model.model_validate({**ROW, "serving": SERVING})
    assert plain.abilities == {"json_object", "json_schema"}
    able = Model.model_validate({**ROW, "serving": {**SERVING, "tool_parser": "hermes", "reasoning_parser": "qwen3"}})
    assert able.abilities == plain.abilities | {"tools", "parallel_tools", "reasoning"}


@pytest.mark.parametrize(
    ("serving", "fault"),
    [
        (
            {"tool_parser": "hermess"},
            "tool_parser 'hermess' is not known; did you mean 'hermes'?",
        ),
        (
            {"reasoning_parser": "qwen33"},
            "reasoning_parser 'qwen33' is not known; did you mean 'qwen3'?",
        ),
        ({"quantization": "fp88"}, "quantization 'fp88' is not known; did you mean 'fp8'?"),
        ({"weights": "s3://a/b", "revision": "main"}, "revision: only a Hugging Face id has one, not s3://a/b"),
        ({"weights": "./qwen"}, "weights: a folder is named from / on, not as ./qwen"),
        ({"replicas": {"min": 3, "max": 2}}, "replicas: max 2 is less than min 3"),
        ({"replicas": {"min": 0}}, "replicas: max 0 is less than one"),
        (
            {"max_ongoing": 8, "replicas": {"target_ongoing": 9}},
            "replicas.target_ongoing 9 is larger than max_ongoing 8",
        ),
        (
            {"engine_kwargs": {"tensor_parallel_size": 2}},
            "engine_kwargs.tensor_parallel_size: is said by tensor_parallel",
        ),
        (
            {"lora": {"path": "s3://a/b", "max_at_once": 9, "max_per_replica": 8}},
            "lora: max_per_replica 8 is less than max_at_once 9",
        ),
    ],
)
def test_how_a_model_is_served_is_consistent(serving: dict[str, Any], fault: str) -> None:
    assert faults({**ROW, "serving": {**SERVING, **serving}}) == [fault]


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (
            {**ROW, "engine": "openai_compatible", "serving": SERVING},
            "serving: models of engine vllm are served by us, not those of openai_compatible",
        ),
        (
            {**ROW, "serving": SERVING, "abilities": ["tools"]},
            "abilities: 'tools' needs serving.tool_parser, by which vLLM finds it in the text",
        ),
        (
            {"id": "m", "engine": "vllm", "modality": "image", "image": {"sizes": ["64x64"]}, "serving": SERVING},
            "serving: Ray Serve LLM serves text and embeddings; run vLLM-Omni for image, and name it by base_url",
        ),
        (
            {**ROW, "id": "a:b", "serving": SERVING},
            "upstream_model: what follows ':' in a:b would be an adapter's name to Ray",
        ),
        (ROW, "engine vllm needs a base_url, as in http://gpu-host:8000/v1"),
        (
            {**ROW, "base_url": "http://a/v1", "metrics": [["http://a/m"], ["http://b/m"]]},
            "metrics: 2 for 1 addresses; one each is needed",
        ),
    ],
)
def test_a_row_is_served_as_it_promises(row: dict[str, Any], fault: str) -> None:
    assert faults(row) == [fault]


def test_embeddings_are_served_too() -> None:
    assert Model.model_validate({**EMBEDDER, "serving": SERVING}).fitting_tokens == 8192


@pytest.mark.parametrize(
    ("name", "slug"), [("gpt-oss-120b", "gpt-oss-120b"), ("Qwen/Qwen3.5:4B@x", "qwen-qwen3-5-4b-x")]
)
def test_a_route_is_made_of_the_id(name: str, slug: str) -> None:
    assert Model.model_validate({**ROW, "id": name, "base_url": "http://a/v1"}).slug == slug


def test_a_pool_names_an_accelerator_that_ray_knows() -> None:
    pool: dict[str, Any] = {
        "name": "p",
        "accelerators_per_node": 8,
        "nodes": 2,
        "clusters": [{"url": "http://ray:8000"}],
    }
    assert Pool.model_validate({**pool, "accelerator": "H100"}).accelerators == 16
    with pytest.raises(ValidationError, match="accelerator 'H1000' is not known; did you mean 'H100'"):
        Pool.model_validate({**pool, "accelerator": "H1000"})
