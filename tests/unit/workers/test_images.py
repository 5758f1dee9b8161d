"""Images and documents by URL, put into a chat as data."""

import base64
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from schemas.chat import CacheMark, Chat, Document, Image, Message, Part, Text, ToolResult
from schemas.errors import BodyTooLarge, InvalidRequest
from schemas.images import MAX_IMAGE_BYTES, MAX_URLS
from tests.upstream import Reply, Upstream
from workers.fetch import Fetcher
from workers.images import Inliner

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
PDF = b"%PDF-1.7\n"


@pytest.fixture
async def server() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def inliner() -> AsyncIterator[Inliner]:
    fetcher = Fetcher([ip_network("127.0.0.0/8")], http=True)
    yield Inliner(fetcher)
    await fetcher.close()


def chat(*parts: Part) -> Chat:
    return Chat((Message("user", (Text("Look"), *parts), "ann"),), user="u")


def holds(*bodies: bytes) -> list[Reply]:
    return [Reply([body], 200, {"Content-Type": "text/html"}) for body in bodies]


async def test_data_stands_where_a_url_stood(server: Upstream, inliner: Inliner) -> None:
    server.script(*holds(PNG))
    image = Image(url=server.url, detail="low", cache=CacheMark())
    data = base64.b64encode(PNG).decode()
    assert await inliner.inline(chat(image)) == chat(Image("image/png", data, detail="low", cache=CacheMark()))


async def test_a_result_of_a_tool_may_show_something_too(server: Upstream, inliner: Inliner) -> None:
    server.script(*holds(PDF))
    made = await inliner.inline(chat(ToolResult("1", (Text("Here"), Document(url=server.url, name="a.pdf")))))
    data = base64.b64encode(PDF).decode()
    assert made == chat(ToolResult("1", (Text("Here"), Document("application/pdf", data, name="a.pdf"))))


async def test_the_same_url_is_fetched_once(server: Upstream, inliner: Inliner) -> None:
    server.script(*holds(PNG))
    made = await inliner.inline(chat(Image(url=server.url), Image(url=server.url, detail="high")))
    assert [part.data for part in made.messages[0].parts if isinstance(part, Image)] == [
        base64.b64encode(PNG).decode()
    ] * 2
    assert len(server.asked) == 1


async def test_a_chat_without_urls_is_left_as_it_is(inliner: Inliner) -> None:
    given = chat(Image("image/png", "x"), Document(text="x"))
    assert await inliner.inline(given) is given


@pytest.mark.parametrize(("part", "words"), [(Image, "not a PNG, JPEG, WEBP or GIF image"), (Document, "is not a PDF")])
async def test_what_is_something_else_is_refused_whatever_its_server_calls_it(
    server: Upstream, inliner: Inliner, part: type[Image] | type[Document], words: str
) -> None:
    server.script(Reply([b"<html>"], 200, {"Content-Type": "image/png"}))
    with pytest.raises(InvalidRequest, match=words):
        await inliner.inline(chat(part(url=server.url)))


async def test_an_image_of_thirty_megabytes_is_too_large(server: Upstream, inliner: Inliner) -> None:
    server.script(*holds(PNG + bytes(30_000_000)))
    with pytest.raises(BodyTooLarge, match=str(MAX_IMAGE_BYTES)):
        await inliner.inline(chat(Image(url=server.url)))


async def test_what_is_wrong_with_a_url_names_the_part_that_has_it(server: Upstream, inliner: Inliner) -> None:
    private = Image(url="http://10.0.0.1/a.png", place="messages[0].content[1]")
    for step in (inliner.inline, inliner.check):
        with pytest.raises(InvalidRequest, match=r"^'messages\[0\].content\[1\]': .* not on the public") as caught:
            await step(chat(private, Image(url="http://10.0.0.1/a.png")))
        assert caught.value.param == "messages[0].content[1]"
    server.script(*holds(PNG + bytes(30_000_000)), *holds(b"<html>"))
    for _ in range(2):
        with pytest.raises(InvalidRequest) as caught:
            await inliner.inline(chat(Image(url=server.url, place="input[2]")))
        assert caught.value.param == "input[2]"
    assert server.asked != []


async def test_one_that_fails_ends_the_fetching_of_the_others(server: Upstream, inliner: Inliner) -> None:
    server.mute = True
    with pytest.raises(InvalidRequest, match="not on the public Internet"):
        await inliner.inline(chat(Image(url=server.url), Image(url="http://10.0.0.1/")))
    for asked in server.asked:
        await asked.gone.wait()


async def test_more_urls_than_anybody_needs_are_refused(inliner: Inliner) -> None:
    with pytest.raises(InvalidRequest, match=f"{MAX_URLS} are the most"):
        await inliner.inline(chat(*(Image(url=f"http://127.0.0.1/{n}") for n in range(MAX_URLS + 1))))


async def test_a_url_that_its_provider_fetches_is_only_looked_at(server: Upstream, inliner: Inliner) -> None:
    given = chat(Image(url=server.url))
    assert await inliner.check(given) is given
    assert server.asked == []
    with pytest.raises(InvalidRequest, match="not on the public Internet"):
        await inliner.check(chat(Image(url="http://192.168.0.1/a.png")))
