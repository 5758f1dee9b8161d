from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog import Model
from schemas.parameters import Rule
from schemas.price_rows import PriceRow
from schemas.usage import Price

ROW: dict[str, Any] = {"id": "m", "engine": "llama_cpp", "context_tokens": 2048, "max_output_tokens": 512}


@pytest.mark.parametrize(
    ("parameters", "name", "rule"),
    [
        ({}, "temperature", Rule(min=0, max=2)),
        ({}, "top_k", None),
        ({"top_k": True}, "top_k", Rule(min=-1)),
        ({"temperature": True}, "temperature", Rule(min=0, max=2)),
        ({"temperature": {"max": 1}}, "temperature", Rule(min=0, max=1)),
        ({"temperature": {"max": None}}, "temperature", Rule(min=0)),
        ({"temperature": {}}, "temperature", Rule(min=0, max=2)),
        ({"temperature": False}, "temperature", None),
        ({"stop": {"max_items": 1}}, "stop", Rule(max_items=1)),
    ],
)
def test_a_row_says_only_how_its_parameters_differ(parameters: dict[str, Any], name: str, rule: Rule | None) -> None:
    assert Model.model_validate({**ROW, "parameters": parameters}).rules().get(name) == rule


@pytest.mark.parametrize("parameters", [{"reasoning_effort": True}, {"n": 3}, {"n": None}, {"n": {"min": "x"}}])
def test_a_row_promises_no_parameter_that_could_not_be_carried(parameters: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({**ROW, "parameters": parameters})


@pytest.mark.parametrize(
    ("price", "microusd"),
    [
        ({}, Price(0, 0, 0, 0, 0)),
        (
            {"input_usd_per_mtok": 0.1, "output_usd_per_mtok": 0.7},
            Price(100_000, 100_000, 700_000, 100_000, 100_000),
        ),
        (
            {"input_usd_per_mtok": 3, "cached_input_usd_per_mtok": 0},
            Price(3_000_000, 0, 0, 3_000_000, 3_000_000),
        ),
        (
            {"input_usd_per_mtok": 3, "cache_written_input_usd_per_mtok": 3.75},
            Price(3_000_000, 3_000_000, 0, 3_750_000, 3_750_000),
        ),
        (
            {"cache_written_input_usd_per_mtok": 3.75, "cache_written_1h_input_usd_per_mtok": 6},
            Price(0, 0, 0, 3_750_000, 6_000_000),
        ),
        ({"output_usd_per_mtok": Decimal("0.000001")}, Price(0, 0, 1)),
    ],
)
def test_prices_are_whole_microdollars(price: dict[str, Any], microusd: Price) -> None:
    assert PriceRow.model_validate(price).microusd == microusd


def test_a_price_finer_than_a_microdollar_is_refused() -> None:
    with pytest.raises(ValidationError):
        PriceRow.model_validate({"input_usd_per_mtok": 0.0000001})


CLAUDE: dict[str, Any] = {"id": "claude", "engine": "anthropic", "context_tokens": 200_000, "max_output_tokens": 64_000}


def test_a_row_of_anthropics_is_whole_without_an_address_and_has_what_its_models_can_do() -> None:
    row = Model.model_validate(CLAUDE)
    assert str(row.base_url) == "https://api.anthropic.com/v1"
    assert row.inputs == ("text", "image", "document")
    assert {"tools", "reasoning", "prompt_cache"} <= row.abilities
    assert not {"seed", "n", "logprobs", "frequency_penalty"} & set(row.rules())


def test_what_a_row_says_itself_stands() -> None:
    row = Model.model_validate({**CLAUDE, "inputs": ["text"], "abilities": ["tools"], "base_url": "http://gpu:8000/v1"})
    assert (row.inputs, row.abilities, str(row.base_url)) == (("text",), {"tools"}, "http://gpu:8000/v1")


@pytest.mark.parametrize(
    "promise",
    [
        {**CLAUDE, "parameters": {"seed": True}},
        {**CLAUDE, "abilities": ["json_object"]},
        {**ROW, "abilities": ["tools"]},
        {**ROW, "inputs": ["text", "image"]},
    ],
)
def test_a_row_promises_nothing_that_its_engine_cannot_carry(promise: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="cannot carry"):
        Model.model_validate(promise)


@pytest.mark.parametrize(
    ("price", "unit", "per_million"),
    [
        ({"usd_per_image": "0.065"}, "image", 65_000_000_000),
        ({"usd_per_mchar": "15"}, "character", 15_000_000),
        ({"usd_per_video": "0.31"}, "video", 310_000_000_000),
        ({"usd_per_video_second": "0.1"}, "video_ms", 100_000_000),
        ({"usd_per_request": "0.001"}, "request", 1_000_000_000),
        ({}, "", 0),
    ],
)
def test_what_else_a_model_is_sold_by_is_told_for_a_million_units(
    price: dict[str, str], unit: str, per_million: int
) -> None:
    told = PriceRow.model_validate(price).microusd
    assert (told.unit, told.unit_microusd_per_million) == (unit, per_million)


@pytest.mark.parametrize(
    ("price", "told"),
    [
        ({"usd_per_image": "0.065"}, "0.065 per image"),
        ({"usd_per_mchar": "15"}, "15 per million characters"),
        ({"usd_per_video_second": "0.1"}, "0.1 per video second"),
        ({"input_usd_per_mtok": "1"}, ""),
    ],
)
def test_what_else_it_is_sold_by_in_words(price: dict[str, str], told: str) -> None:
    assert PriceRow.model_validate(price).beside_tokens == told


@pytest.mark.parametrize(
    ("row", "tokens"),
    [
        ({"context_tokens": 8, "max_output_tokens": 4}, 8),
        ({"modality": "embedding", "embedding": {"dimensions": 2, "max_input_tokens": 16}}, 16),
        ({"modality": "embedding", "embedding": {"dimensions": 2}, "context_tokens": 32}, 32),
        ({"modality": "image", "image": {"sizes": ["16x16"]}}, 0),
    ],
)
def test_how_many_tokens_fit(row: dict[str, Any], tokens: int) -> None:
    least = {"id": "m", "engine": "openai_compatible", "base_url": "http://127.0.0.1:1/v1"}
    assert Model.model_validate({**least, **row}).fitting_tokens == tokens


def test_a_model_is_sold_by_one_thing_beside_its_tokens() -> None:
    with pytest.raises(ValidationError, match="usd_per_image and usd_per_video: a model is sold by one thing"):
        PriceRow.model_validate({"usd_per_image": 1, "usd_per_video": 1})


SPEECH: dict[str, Any] = {"id": "s", "modality": "speech", "engine": "piper", "speech": {"voices": ["joe"]}}


def test_what_a_row_of_another_modality_leaves_open_is_usual_for_it() -> None:
    row = Model.model_validate(SPEECH)
    assert (row.lane, row.endpoints, row.outputs, row.inputs) == (
        "speech.default",
        ("/v1/audio/speech",),
        ("audio",),
        ("text",),
    )


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"speech": None}, "speech: a model of this modality needs it"),
        ({"image": {"sizes": ["1x1"]}}, "image"),
        ({"image": {"sizes": ["64x64"]}}, "image: only models of the modality image have it"),
        ({"engine": "llama_cpp"}, "engine llama_cpp serves no speech model, but text"),
        ({"lane": "text.default"}, "lane text.default: it begins with its models' modality, as in speech.default"),
        ({"endpoints": ["/v1/videos"]}, "endpoints: the modality speech cannot carry '/v1/videos'"),
        ({"fallbacks": ["t"]}, "fallbacks: only text models have them"),
    ],
)
def test_a_row_of_another_modality_has_the_contract_of_its_own(changed: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        Model.model_validate({**SPEECH, **changed})
