"""Conversations that do not hold together, and images that are none."""

import base64
from typing import Any

import pytest

from ingress.turns import check_turns
from schemas.chat import (
    Chat,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from schemas.errors import BodyTooLarge, InvalidRequest, InvalidValue

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 12
WEBP = b"RIFF\x24\0\0\0WEBPVP8 "
GIF = b"GIF89a" + b"\0" * 10


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def said(*parts: Part) -> Message:
    return Message("assistant", parts)


def user(*parts: Part) -> Message:
    return Message("user", parts)


def chat(*messages: Message, tools: tuple[str, ...] = ("f",), **fields: Any) -> Chat:
    return Chat(messages, tools=tuple(Tool(name) for name in tools), **fields)


CALL = ToolCall("1", "f", "{}")
RESULT = ToolResult("1", (Text("4"),))


@pytest.mark.parametrize(
    "good",
    [
        chat(user(Text("Hi")), said(Thinking("Hm."), Text("Hi"), Refusal("No."))),
        chat(said(CALL), user(RESULT)),
        chat(said(CALL, ToolCall("2", "f", "{")), user(ToolResult("2", ())), user(RESULT)),
        chat(said(CALL), user(RESULT), said(CALL), user(RESULT)),
        chat(said(CALL)),
        chat(user(Opaque("anthropic", {"type": "x"}))),
        chat(tool_choice=ToolChoice("named", "f")),
        chat(tools=(), tool_choice=ToolChoice("none")),
        chat(user(Image("image/png", b64(PNG)), Image("image/jpeg", b64(JPEG)))),
        chat(user(Image("image/webp", b64(WEBP)), Image("image/gif", b64(GIF)))),
        chat(user(Image(url="https://a.example/b"), Image(url="http://10.0.0.1/b"))),
        chat(user(Document("application/pdf", b64(b"%PDF-1.7\n")), Document(text="x"), Document(url="https://a/b"))),
        chat(user(Document("text/plain", b64(b"abc")))),
    ],
)
def test_what_holds_together_passes(good: Chat) -> None:
    check_turns(good)


@pytest.mark.parametrize(
    ("bad", "param", "words"),
    [
        (chat(user(RESULT)), "messages[0]", "'1', which was made by no message before it"),
        (chat(user(Text("x")), user(RESULT), said(CALL)), "messages[1]", "made by no message"),
        (chat(said(CALL), user(RESULT), user(RESULT)), "messages[2]", "has its result already"),
        (chat(said(Text("x"), CALL, CALL)), "messages[0].tool_calls[1]", "the id '1'"),
        (chat(said(CALL), said(Thinking("x"), CALL)), "messages[1].tool_calls[0]", "still unanswered"),
        (chat(said(ToolCall("1", "g", ""))), "messages[0].tool_calls[0]", "calls 'g'"),
        (chat(said(CALL), tools=()), "messages[0].tool_calls[0]", "none of this request's tools"),
        (chat(tool_choice=ToolChoice("named", "g")), "tool_choice", "names 'g'"),
        (chat(tools=(), tool_choice=ToolChoice("required")), "tool_choice", "needs 'tools'"),
        (chat(user(Text("x"), Image("image/png", b64(b"not an image")))), "messages[0].content[1]", "not an image"),
        (chat(user(Image("image/png", b64(JPEG)))), "messages[0].content[0]", "says it is image/png.*image/jpeg"),
        (chat(user(Image("image/tiff", b64(PNG)))), "messages[0].content[0]", "should be one of image/png"),
        (chat(user(Image("image/png", "%%%%"))), "messages[0].content[0]", "not base64"),
        (chat(user(Image("image/png", b64(PNG)[:-1]))), "messages[0].content[0]", "not base64"),
        (chat(user(Image("image/png", "iV=ORw0K"))), "messages[0].content[0]", "not base64"),
        (chat(user(Image("image/png", "ïV=ORw0K"))), "messages[0].content[0]", "not base64"),
        (chat(user(Image("image/png", ""))), "messages[0].content[0]", "not base64"),
        (chat(user(Image(url="x.png"))), "messages[0].content[0]", "https URL of an image"),
        (chat(user(Image(url="file:///etc/passwd"))), "messages[0].content[0]", "https URL"),
        (chat(user(Image(url="https://["))), "messages[0].content[0]", "https URL"),
        (chat(user(Image(url="https://a/" + "b" * 9000))), "messages[0].content[0]", "https URL"),
        (chat(user(Document("application/pdf", b64(b"hello!")))), "messages[0].content[0]", "not a PDF"),
        (chat(said(CALL), user(ToolResult("1", (Image("image/png", b64(GIF)),)))), "messages[1]", "image/gif"),
    ],
)
def test_what_does_not_is_refused_by_its_place(bad: Chat, param: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=words) as caught:
        check_turns(bad)
    assert caught.value.param == param
    assert caught.value.message.startswith(f"'{param}'")
    assert caught.value.message.endswith(".")


def test_an_image_of_thirty_megabytes_is_too_large() -> None:
    data = b64(PNG + bytes(30_000_000))
    with pytest.raises(BodyTooLarge) as caught:
        check_turns(chat(user(Image("image/png", data))))
    assert (caught.value.status, caught.value.param) == (413, "messages[0].content[0]")
    assert "20971520" in caught.value.message


def test_where_tools_come_and_go_a_call_of_one_that_went_passes() -> None:
    check_turns(chat(said(CALL), user(RESULT), tools=()), only_offered=False)


def test_a_dialect_tells_places_in_its_own_words() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_turns(chat(user(RESULT)), lambda chat, message, part: f"input[{message}]")
    assert caught.value.param == "input[0]"


def test_an_id_of_a_megabyte_is_not_repeated_in_full() -> None:
    with pytest.raises(InvalidValue) as caught:
        check_turns(chat(user(ToolResult("x" * 1_000_000, ()))))
    assert len(caught.value.message) < 300
