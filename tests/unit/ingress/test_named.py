"""Where a request has what it names by URL."""

from ingress.named import with_places
from ingress.turns import chat_place
from schemas.chat import Chat, Document, Image, Message, Part, Text, ToolCall, ToolResult
from schemas.images import MAX_URLS

PICTURE = "https://images.example/a.png"
OTHER = "https://images.example/b.png"


def places(chat: Chat) -> list[str | None]:
    found: list[str | None] = []
    for message in chat.messages:
        for part in message.parts:
            inner: tuple[Part, ...] = part.parts if isinstance(part, ToolResult) else (part,)
            found += [each.place for each in inner if isinstance(each, Image | Document)]
    return found


def test_what_is_named_by_url_knows_its_place() -> None:
    chat = Chat(
        (
            Message("user", (Text("Look"), Image(url=PICTURE), Image("image/png", "x"))),
            Message("assistant", (ToolCall("a", "f", "{}"),)),
            Message("user", (ToolResult("a", (Text("Here"), Document(url=OTHER))),)),
        )
    )
    assert places(with_places(chat, chat_place)) == ["messages[0].content[1]", None, "messages[2]"]


def test_of_the_same_url_the_first_stands_for_all() -> None:
    chat = Chat((Message("user", (Image(url=PICTURE), Image(url=PICTURE, detail="high"))),))
    assert places(with_places(chat, chat_place)) == ["messages[0].content[0]", None]


def test_no_more_are_placed_than_may_be_fetched() -> None:
    parts = tuple(Image(url=f"{PICTURE}?{number}") for number in range(MAX_URLS + 2))
    placed = places(with_places(Chat((Message("user", parts),)), chat_place))
    assert placed[MAX_URLS - 1 :] == [f"messages[0].content[{MAX_URLS - 1}]", None, None]


def test_a_chat_without_urls_is_left_as_it_is() -> None:
    chat = Chat((Message("user", (Text("Look"), Image("image/png", "x"))),))
    assert with_places(chat, chat_place) is chat
