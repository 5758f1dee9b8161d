"""Rows become engines, or say in one line why they cannot."""

import subprocess
import sys
from typing import Any

import pytest

from schemas.catalog import Model
from workers.engines.openai_compatible import OpenAICompatible
from workers.engines.setup import SetupError, need
from workers.registry import Starts, build


def row(**fields: Any) -> Model:
    least = {"id": "m", "engine": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    return Model.model_validate({"context_tokens": 8192, "max_output_tokens": 4096, **least, **fields})


def test_a_row_without_a_secret() -> None:
    engine = build(row(), {})
    assert isinstance(engine, OpenAICompatible)
    assert not isinstance(engine, Starts)


def test_a_secret_comes_from_the_environment_that_is_passed_in() -> None:
    assert isinstance(build(row(api_key_env="HOST_KEY"), {"HOST_KEY": "sk-1"}), OpenAICompatible)


@pytest.mark.parametrize("environment", [{}, {"HOST_KEY": ""}, {"HOST_KEY": " "}, {"HOST_KEY": "a\nb"}])
def test_a_missing_secret_names_the_row_and_the_variable(environment: dict[str, str]) -> None:
    with pytest.raises(SetupError) as raised:
        build(row(api_key_env="HOST_KEY"), environment)
    assert "'m'" in str(raised.value)
    assert "HOST_KEY" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_model_file_that_is_not_there_is_named() -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(SetupError, match=r"no file .*/gone\.gguf"):
        build(row(engine="llama_cpp", engine_options={"model_path": "/gone.gguf"}), {})


def test_a_package_that_is_not_installed_is_named_although_nothing_is_loaded() -> None:
    with pytest.raises(SetupError) as raised:
        need(row(), "msgspec", "no_such_package")
    assert str(raised.value) == (
        "model 'm': engine openai_compatible needs the package 'no_such_package', which is not installed here"
    )


HEAVY = ("av", "numpy", "onnxruntime", "piper", "PIL", "tokenizers")

STARTED = f"""
import asyncio, sys
from storage.catalog import load_catalog
from workers import job_registry, registry

async def start():
    for model in load_catalog([]):
        long = model.modality in job_registry.LONG
        if model.modality != "text":
            engine = (job_registry if long else registry).build(model, {{}})
            if isinstance(engine, registry.Starts) and not long:
                await engine.start()
            print("built", model.id)

asyncio.run(start())
print("loaded", sorted({set(HEAVY)} & set(sys.modules)))
"""


def test_embedded_media_cost_nothing_until_somebody_asks_for_them() -> None:
    for name in HEAVY:
        pytest.importorskip(name)
    ran = subprocess.run([sys.executable, "-c", STARTED], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines() == [
        "built all-minilm-l6-v2",
        "built piper-en-us-joe",
        "built storyboard-image",
        "built storyboard-video",
        "loaded []",
    ]
