"""What a row may say of its several addresses, and what of it is wrong."""

from typing import Any

import pytest

from schemas.catalog import Model
from workers.engines.setup import SetupError
from workers.registry import build
from workers.replicas.options import ReplicaOptions, without_replicas

ROW: dict[str, Any] = {
    "id": "m",
    "engine": "vllm",
    "base_url": "http://a:1/v1",
    "context_tokens": 8192,
    "max_output_tokens": 4096,
}


def row(replicas: object, **fields: Any) -> Model:
    options = {"replicas": replicas, "reasoning": "none"}
    return Model.model_validate({**ROW, "engine_options": options, **fields})


def test_a_row_that_says_nothing() -> None:
    model = Model.model_validate(ROW)
    assert without_replicas(model) == (model, ReplicaOptions(health=None, probe=True, prefix_chars=2048))


def test_the_engine_reads_the_rest() -> None:
    model, options = without_replicas(row({"health": "/-/healthz", "probe": False, "prefix_chars": 0}))
    assert options == ReplicaOptions("/-/healthz", False, 0)
    assert model.engine_options == {"reasoning": "none"}


def test_a_row_with_one_address_may_say_it_too() -> None:
    build(row({"prefix_chars": 4096}), {})


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"helth": "/x"}, "helth"),
        ({"health": "x"}, "health should begin with /"),
        ({"prefix_chars": -1}, "prefix_chars should be 0 or more"),
        ({"prefix_chars": "many"}, "prefix_chars"),
        ("all", "object"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_row(said: object, fault: str) -> None:
    with pytest.raises(SetupError) as raised:
        build(row(said), {})
    assert "'m'" in str(raised.value)
    assert "engine_options.replicas" in str(raised.value)
    assert fault in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_engine_without_an_address_knows_no_such_option() -> None:
    pytest.importorskip("xllamacpp")
    with pytest.raises(SetupError, match="replicas"):
        build(row({}, engine="llama_cpp", base_url=None), {})


def test_a_secret_in_any_address_is_refused() -> None:
    with pytest.raises(SetupError, match="name or password"):
        build(Model.model_validate({**ROW, "replicas": ["http://me:secret@b:1/v1"]}), {})
