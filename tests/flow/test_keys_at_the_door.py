"""Who may come in: with which key, from where, and until when."""

import time

import httpx2
import pytest

from storage.keys import NewKey
from tests.asking import ask, error_of
from tests.stack import Stack, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUTES = [("GET", "/v1/models"), ("GET", "/v1/models/scripted"), ("GET", "/v1/usage"), ("POST", "/v1/chat/completions")]


def anonymous(url: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=url, trust_env=False)


async def status_of(http: httpx2.AsyncClient) -> int:
    return (await http.get("/v1/models")).status_code


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_both_headers_open_every_route(stack: Stack, key: NewKey, method: str, path: str) -> None:
    body = {"model": "scripted", "messages": [{"role": "user", "content": "Hi"}]} if method == "POST" else None
    async with anonymous(stack.url) as http:
        for headers in ({"authorization": f"Bearer {key.secret}"}, {"x-api-key": key.secret}):
            response = await http.request(method, path, json=body, headers=headers)
            assert response.status_code == 200, response.text


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer sk-ps-wrong"},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "Bearer"},
        {"x-api-key": "\xff\xfe"},
        {"x-api-key": "k" * 8_000},
    ],
    ids=["none", "wrong", "basic", "empty", "not ascii", "long"],
)
async def test_no_route_skips_the_check(stack: Stack, method: str, path: str, headers: dict[str, str]) -> None:
    """BF#2873."""
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    async with anonymous(stack.url) as http:
        response = await http.request(method, path, headers=raw)
    assert error_of(response, 401)["code"] == "invalid_api_key"
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_new_key_works_at_once_on_every_process(stack: Stack, tight_door: str, account: str) -> None:
    for url in (stack.url, tight_door):
        created = await stack.create_key(account)
        async with stack.client(created.secret, url) as http:
            assert await status_of(http) == 200


async def test_a_revoked_key_is_refused_within_a_second_on_every_process(
    stack: Stack, tight_door: str, key: NewKey
) -> None:
    async with stack.client(key.secret) as here, stack.client(key.secret, tight_door) as there:
        assert [(await ask(http)).status_code for http in (here, there)] == [200, 200]
        await stack.revoke_key(key.key.id)
        for http in (here, there):
            await until(lambda: status_of(http), lambda status: status == 401, within_s=1)  # noqa: B023
            error = error_of(await ask(http), 401)
            assert "revoked" in error["message"]


async def test_an_expired_key_is_refused(stack: Stack, account: str) -> None:
    soon = await stack.create_key(account, expires_at_ms=int(time.time() * 1000) + 700)
    async with stack.client(soon.secret) as http:
        assert await status_of(http) == 200
        await until(lambda: status_of(http), lambda status: status == 401, within_s=3)
        assert "expired" in error_of(await ask(http), 401)["message"]


async def test_a_key_is_good_in_its_networks_only(stack: Stack, account: str) -> None:
    inside = await stack.create_key(account, networks=["127.0.0.0/8"])
    outside = await stack.create_key(account, networks=["10.0.0.0/8", "fd00::/8"])
    async with stack.client(inside.secret) as http:
        assert (await ask(http)).status_code == 200
    async with stack.client(outside.secret) as http:
        assert error_of(await ask(http), 403)["code"] == "permission_denied"
        forged = await http.get("/v1/models", headers={"x-forwarded-for": "10.1.2.3"})
        assert error_of(forged, 403)["code"] == "permission_denied"


@pytest.mark.parametrize(
    ("hops", "status"),
    [
        ([], 403),
        (["10.1.2.3"], 200),
        (["10.1.2.3, 127.0.0.5"], 200),
        (["10.1.2.3, 192.0.2.9"], 403),
        # What the client wrote itself stands above the line that the proxy added.
        (["10.1.2.3", "192.0.2.9"], 403),
        (["192.0.2.9", "10.1.2.3"], 200),
        (["nonsense, 10.1.2.3"], 200),
    ],
)
async def test_behind_a_trusted_proxy_the_hop_that_it_saw_counts(
    stack: Stack, tight_door: str, account: str, hops: list[str], status: int
) -> None:
    key = await stack.create_key(account, networks=["10.0.0.0/8"])
    async with anonymous(tight_door) as http:
        headers = [("x-api-key", key.secret), *[("x-forwarded-for", hop) for hop in hops]]
        assert (await http.get("/v1/models", headers=headers)).status_code == status


@pytest.mark.parametrize("name", ["brief", "org/brief"], ids=["id", "alias"])
async def test_a_scoped_key_opens_its_models_only(stack: Stack, account: str, name: str) -> None:
    scoped = await stack.create_key(account, models=[name])
    async with stack.client(scoped.secret) as http:
        assert (await ask(http, "brief")).status_code == 200
        assert (await ask(http, "org/brief")).status_code == 200
        assert error_of(await ask(http, "scripted"), 403)["param"] == "model"
        assert error_of(await http.get("/v1/models/scripted"), 403)["code"] == "permission_denied"
        assert [model["id"] for model in (await http.get("/v1/models")).json()["data"]] == ["brief"]


async def test_usage_is_the_keys_own_accounts(stack: Stack, key: NewKey, account: str) -> None:
    stranger = await stack.create_key(f"{account}-stranger")
    async with stack.client(key.secret) as http:
        assert (await ask(http)).status_code == 200

        async def rows() -> list[dict[str, object]]:
            data: list[dict[str, object]] = (await http.get("/v1/usage")).json()["data"]
            return data

        (row,) = await until(rows, lambda found: len(found) == 1)
    # Seven tokens in at one dollar a million, two out at two.
    assert (row["model"], row["requests"], row["input_tokens"], row["output_tokens"]) == ("scripted", 1, 7, 2)
    assert row["cost_microusd"] == 7 * 1 + 2 * 2
    async with stack.client(stranger.secret) as http:
        assert (await http.get("/v1/usage")).json() == {"object": "list", "data": []}
