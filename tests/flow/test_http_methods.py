"""The rest of HTTP: methods, unknown places, pages of other origins."""

import pytest

from storage.keys import NewKey
from tests.asking import PATH, ask, error_of
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGE = "https://pages.example"


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/scripted", "/v1/usage", "/healthz", "/readyz"])
async def test_head_is_get_without_a_body(stack: Stack, key: NewKey, path: str) -> None:
    async with stack.client(key.secret) as http:
        got, headed = await http.get(path), await http.head(path)
    assert (headed.status_code, headed.content) == (200, b"")
    assert headed.headers["content-type"] == got.headers["content-type"]


async def test_options_says_what_there_is(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        for path, allowed in ((PATH, {"POST"}), ("/v1/models", {"GET", "HEAD"})):
            response = await http.options(path)
            assert (response.status_code, response.content) == (204, b"")
            assert set(response.headers["allow"].replace(" ", "").split(",")) <= allowed


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1", 404, "not_found"),
        ("POST", "/chat/completions", 404, "not_found"),
        ("GET", "/v1/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/models/", 404, None),
        ("GET", PATH, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/models/no-such-model", 404, "model_not_found"),
        ("GET", "/v1/models/" + "x" * 5_000, 404, "model_not_found"),
        ("GET", "/v1/models/%ff%00", 404, "model_not_found"),
        ("GET", "/v1/usage?start_day=yesterday", 400, "invalid_value"),
        ("GET", "/v1/usage?start_day=2026-13-01", 400, "invalid_value"),
        ("GET", "/v1/usage?start_day=2026-02-02&end_day=2026-01-01", 400, "invalid_value"),
    ],
)
async def test_errors_have_one_shape(  # noqa: PLR0917
    stack: Stack, key: NewKey, method: str, path: str, status: int, code: str | None
) -> None:
    async with stack.client(key.secret) as http:
        error = error_of(await http.request(method, path), status)
    assert code in (error["code"], None)


async def test_pages_of_other_origins_are_not_answered_unless_the_operator_says_so(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http)
        preflight = await http.options(PATH, headers={"origin": PAGE, "access-control-request-method": "POST"})
    assert "access-control-allow-origin" not in response.headers
    assert "access-control-allow-origin" not in preflight.headers


async def test_pages_of_the_named_origins_may_ask_and_read_the_headers(
    stack: Stack, tight_door: str, key: NewKey
) -> None:
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,content-type"}
    async with stack.client(key.secret, tight_door) as http:
        preflight = await http.options(PATH, headers={"origin": PAGE, **asked})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == PAGE
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        http.headers["origin"] = PAGE
        for response in (await ask(http), await ask(http, stream=True), await ask(http, temperature=9)):
            assert response.headers["access-control-allow-origin"] == PAGE
            exposed = response.headers["access-control-expose-headers"]
            assert {"x-request-id", "retry-after", "x-ratelimit-remaining-requests"} <= set(exposed.split(", "))
        http.headers["origin"] = "https://elsewhere.example"
        assert "access-control-allow-origin" not in (await ask(http)).headers
