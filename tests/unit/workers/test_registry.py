"""Rows become engines, or say in one line why they cannot."""

from typing import Any

import pytest

from schemas.catalog import Model
from workers.engines.openai_compatible import OpenAICompatible
from workers.engines.setup import SetupError
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
