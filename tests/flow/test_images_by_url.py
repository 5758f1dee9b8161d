"""Images that a chat names by URL: fetched by the platform, or passed on, and never from where they should not be."""

import base64
from typing import Any

import pytest

from storage.keys import NewKey
from tests import upstream
from tests.asking import ask, error_of
from tests.matrix_providers import PNG
from tests.stack import Stack
from tests.upstream import Reply

pytestmark = pytest.mark.asyncio(loop_scope="session")


def looking_at(url: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


async def test_the_platform_fetches_it(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([base64.b64decode(PNG)], 200, {"Content-Type": "text/plain"}))
    stack.upstream.script(upstream.answer("A", " dot"))
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", messages=looking_at(f"http://127.0.0.1:{stack.upstream.port}/dot"))
    assert response.status_code == 200
    fetched, asked = stack.upstream.asked
    assert fetched.target == "/dot"
    assert asked.body["messages"][0]["content"][0]["image_url"]["url"] == "data:image/png;base64," + PNG


async def test_or_its_provider_does(stack: Stack, key: NewKey) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http, "fetching", messages=looking_at("https://images.example/dot.png"))
    assert response.status_code == 200
    (asked,) = stack.upstream.asked
    assert asked.body["messages"][0]["content"][0]["image_url"]["url"] == "https://images.example/dot.png"


@pytest.mark.parametrize("model", ["able-chat", "fetching"])
@pytest.mark.parametrize("url", ["https://169.254.169.254/latest/meta-data", "https://[::1]/", "http://10.0.0.1/a.png"])
async def test_a_private_address_is_not_asked(stack: Stack, key: NewKey, model: str, url: str) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http, model, messages=looking_at(url))
    assert "not on the public Internet" in error_of(response, 400)["message"]
    assert stack.upstream.asked == []
    (charge,) = await stack.charges(key.key.account, 1)
    assert charge.cost_microusd == 0


async def test_what_is_no_image_is_refused(stack: Stack, key: NewKey) -> None:
    stack.upstream.script(Reply([b"<html>"], 200, {"Content-Type": "image/png"}))
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", messages=looking_at(f"http://127.0.0.1:{stack.upstream.port}/dot"))
    assert "not a PNG, JPEG, WEBP or GIF image" in error_of(response, 400)["message"]


HUGE = base64.b64decode(PNG) + bytes(21_000_000)
PLAIN = {"Content-Type": "image/png"}


@pytest.mark.parametrize(
    ("path", "replies", "refused"),
    [
        ("/dot", [Reply([b"<html>"], 200, PLAIN)], (400, "is not a PNG")),
        ("/dot", [Reply([HUGE], 200, PLAIN)], (413, "larger than 20971520 bytes")),
        ("/dot", [Reply([b"gone"], 404, PLAIN)], (400, "answered 404")),
        (":9/dot", [], (400, "could not be fetched")),
        ("http://10.0.0.1/dot", [], (400, "not on the public Internet")),
    ],
    ids=["no image", "too large", "not there", "nobody there", "private"],
)
async def test_each_door_names_the_part_whose_url_is_wrong(
    stack: Stack, key: NewKey, path: str, replies: list[Reply], refused: tuple[int, str]
) -> None:
    status, words = refused
    own = f"http://127.0.0.1:{stack.upstream.port}{path}"
    url = path if path.startswith("http") else f"http://127.0.0.1{path}" if path.startswith(":") else own
    said = {"type": "text", "text": "Look"}
    shown = {"type": "image", "source": {"type": "url", "url": url}}
    in_responses = [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": url}]
    messages = [{"role": "user", "content": [said, *looking_at(url)[0]["content"]]}]
    async with stack.client(key.secret) as http:
        stack.upstream.script(*replies)
        chat = error_of(await ask(http, "able-chat", messages=messages), status)
        stack.upstream.script(*replies)
        asked = {"model": "able-chat", "input": [{"role": "user", "content": in_responses}]}
        response = error_of(await http.post("/v1/responses", json=asked), status)
        stack.upstream.script(*replies)
        asked = {"model": "able-chat", "max_tokens": 9, "messages": [{"role": "user", "content": [said, shown]}]}
        message = await http.post("/v1/messages", json=asked)
    assert (chat["param"], response["param"]) == ("messages[0].content[1]", "input[0].content[1]")
    assert message.status_code == status
    told = message.json()["error"]["message"]
    assert told.startswith("'messages[0].content[1]'")
    assert all(words in each for each in (chat["message"], response["message"], told))


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (base64.b64encode(b"not an image").decode(), 400, "is not an image"),
        (base64.b64encode(base64.b64decode(PNG) + bytes(21_000_000)).decode(), 413, "20971520 are the most"),
        (base64.b64encode(bytes(30_000_000)).decode(), 413, ""),
    ],
)
async def test_data_is_looked_at_before_anything_is_queued(
    stack: Stack, key: NewKey, data: str, status: int, words: str
) -> None:
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", messages=looking_at("data:image/png;base64," + data))
    assert words in error_of(response, status)["message"]
    assert stack.upstream.asked == []


async def test_a_large_image_goes_by_claim_check_and_arrives(stack: Stack, key: NewKey) -> None:
    data = base64.b64encode(base64.b64decode(PNG) + bytes(5_000_000)).decode()
    async with stack.client(key.secret) as http:
        response = await ask(http, "able-chat", messages=looking_at("data:image/png;base64," + data))
    assert response.status_code == 200
    assert stack.upstream.asked[0].body["messages"][0]["content"][0]["image_url"]["url"].endswith(data)
