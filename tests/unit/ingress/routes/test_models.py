import openai
import pytest

from tests.front import Front


async def test_the_sdk_lists_the_models(front: Front) -> None:
    page = await (await front.sdk()).models.list()
    assert [(model.id, model.object, model.created, model.owned_by) for model in page.data] == [
        ("one", "model", 1_700_000_000, "penstock"),
        ("org/two", "model", 0, "penstock"),
    ]


async def test_a_list_is_also_what_anthropics_clients_read(front: Front) -> None:
    answer = await front.http.get("/v1/models?limit=1000", headers={"x-api-key": await front.secret()})
    body = answer.json()
    assert (body["object"], body["has_more"], body["first_id"], body["last_id"]) == ("list", False, "one", "org/two")
    one = body["data"][0]
    assert (one["type"], one["display_name"], one["created_at"]) == ("model", "Model one", "2023-11-14T22:13:20Z")


async def test_a_card_shows_the_contract(front: Front) -> None:
    sdk = await front.sdk()
    card = (await sdk.models.retrieve("org/two")).model_dump()
    assert (card["context_length"], card["max_output_tokens"]) == (2048, 512)
    assert card["modalities"] == {"input": ["text"], "output": ["text"]}
    assert {"/v1/chat/completions", "/v1/messages"} <= set(card["endpoints"])
    assert card["pricing"] == {
        "input_microusd_per_mtok": 500_000,
        "cached_input_microusd_per_mtok": 500_000,
        "cache_written_input_microusd_per_mtok": 500_000,
        "cache_written_1h_input_microusd_per_mtok": 500_000,
        "output_microusd_per_mtok": 2_000_000,
        "unit": "",
        "unit_microusd_per_million": 0,
    }
    assert card["abilities"] == ["count_tokens"]
    assert {"temperature", "max_tokens"} <= set(card["supported_parameters"])


@pytest.mark.parametrize("name", ["one", "org/one"])
async def test_a_model_is_found_by_id_and_alias(front: Front, name: str) -> None:
    assert (await (await front.sdk()).models.retrieve(name)).id == "one"


async def test_only_the_models_in_the_keys_scope_are_shown(front: Front) -> None:
    sdk = await front.sdk(models=["org/two"])
    assert [model.id for model in (await sdk.models.list()).data] == ["org/two"]
    with pytest.raises(openai.PermissionDeniedError, match="'one'"):
        await sdk.models.retrieve("org/one")


async def test_a_key_that_opens_nothing_gets_an_empty_list(front: Front) -> None:
    answer = await front.http.get("/v1/models", headers={"x-api-key": await front.secret(models=["gone"])})
    assert answer.json() == {"object": "list", "data": [], "has_more": False, "first_id": None, "last_id": None}


async def test_an_unknown_model_is_not_found_by_name(front: Front) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        await (await front.sdk()).models.retrieve("none")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/one", "/v1/usage"])
async def test_head_answers_like_get_without_a_body(front: Front, path: str) -> None:
    answer = await front.http.head(path, headers={"x-api-key": await front.secret()})
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/one", "/v1/usage"])
async def test_nobody_is_let_in_without_a_valid_key_from_its_network(front: Front, path: str) -> None:
    elsewhere = await front.secret(networks=["203.0.113.0/24"])
    for headers, status, code in (
        ({}, 401, "invalid_api_key"),
        ({"authorization": "Bearer sk-wrong"}, 401, "invalid_api_key"),
        ({"authorization": f"Bearer {elsewhere}"}, 403, "permission_denied"),
        ({"authorization": f"Bearer {elsewhere}", "x-forwarded-for": "203.0.113.7"}, 403, "permission_denied"),
    ):
        answer = await front.http.get(path, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
