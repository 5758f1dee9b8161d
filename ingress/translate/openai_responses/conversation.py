"""Items as turns of a canonical conversation, and as they are kept."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple, assert_never

from ingress.translate import data_uri
from ingress.translate.openai_responses.output import ID_PREFIXES, item_id
from schemas.chat import (
    Document,
    Image,
    Message,
    Part,
    RedactedThinking,
    Refusal,
    Role,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from schemas.wire import openai_responses as wire

PDF = "application/pdf"


Placed = tuple[str, wire.Item]
"""An item and where the request has it, as in `input[0]`."""


class Turn(NamedTuple):
    """One message, and where the request has each of its parts."""

    message: Message
    places: tuple[str, ...]


def turns(placed: Iterable[Placed]) -> Iterator[Turn]:
    """Everything an assistant said or called in a row is one turn, and so are the results of what it called.

    References must have been replaced before; what is left of them says nothing.
    """
    for role, group in groupby(placed, key=lambda each: _role(each[1])):
        match role:
            case "assistant" | "results":
                turn = _turn("assistant" if role == "assistant" else "user", group)
                if turn.places:
                    yield turn
            case "system" | "developer" | "user":
                yield from (_turn(role, [each]) for each in group)
            case _:
                continue


def _turn(role: Role, placed: Iterable[Placed]) -> Turn:
    parts: list[Part] = []
    places: list[str] = []
    for place, item in placed:
        said = list(_parts(item))
        listed = isinstance(item, wire.Message) and not isinstance(item.content, str)
        parts += said
        places += [f"{place}.content[{index}]" if listed else place for index in range(len(said))]
    return Turn(Message(role, tuple(parts)), tuple(places))


def kept(items: Iterable[wire.Item], number: str) -> list[dict[str, Any]]:
    """The input of the response with this number as its items are kept and listed, each with an id."""
    return [_kept(item, number, index) for index, item in enumerate(items)]


def _role(item: wire.Item) -> Role | str | None:
    match item:
        case wire.Message(role=role):
            return role
        case wire.FunctionCall() | wire.Reasoning():
            return "assistant"
        case wire.FunctionCallOutput():
            return "results"
        case wire.ItemReference():
            return None
        case _:
            assert_never(item)


def _parts(item: wire.Item) -> Iterator[Part]:
    match item:
        case wire.Message(content=content):
            yield from [Text(content)] if isinstance(content, str) else [_part(part) for part in content]
        case wire.FunctionCall(call_id=call_id, name=name, arguments=arguments):
            yield ToolCall(call_id, name, arguments)
        case wire.FunctionCallOutput(call_id=call_id, output=output):
            said = [Text(output)] if isinstance(output, str) else [_result_part(part) for part in output]
            yield ToolResult(call_id, tuple(said))
        case wire.Reasoning():
            yield from _thinking(item)
        case wire.ItemReference():
            return
        case _:
            assert_never(item)


def _thinking(item: wire.Reasoning) -> Iterator[Part]:
    """Encrypted content beside a text, even an empty one, is that text's signature; alone it is all there is."""
    shown = item.content or item.summary
    if shown:
        yield Thinking("".join(part.text for part in shown), item.encrypted_content)
    elif item.encrypted_content is not None:
        yield RedactedThinking(item.encrypted_content)


def _part(part: wire.Part) -> Part:
    match part:
        case wire.OutputText(text=text):
            return Text(text)
        case wire.RefusalPart(refusal=refusal):
            return Refusal(refusal)
        case _:
            return _result_part(part)


def _result_part(part: wire.ResultPart) -> Text | Image | Document:
    match part:
        case wire.InputText(text=text):
            return Text(text)
        case wire.InputImage():
            return _image(part)
        case wire.InputFile():
            return _document(part)
        case _:
            assert_never(part)


def _image(image: wire.InputImage) -> Image:
    url = image.image_url or ""
    detail = None if image.detail == "auto" else image.detail
    data = data_uri.split(url)
    if data is None:
        return Image(url=url, detail=detail)
    return Image(media_type=data.media_type, data=data.base64, detail=detail)


def _document(file: wire.InputFile) -> Document:
    """Base64 without a word of what it is is a PDF, the one kind of file that is sent so."""
    if file.file_data is None:
        return Document(url=file.file_url, name=file.filename)
    data = data_uri.split(file.file_data)
    media_type, base64 = (PDF, file.file_data) if data is None else data
    return Document(media_type=media_type, data=base64, name=file.filename)


def _kept(item: wire.Item, number: str, index: int) -> dict[str, Any]:
    match item:
        case wire.Message(role=role, content=content):
            body: dict[str, Any] = {"type": "message", "role": role, "content": _shown_content(role, content)}
        case wire.Reasoning():
            body = {"summary": [], **_dumped(item)}
        case _:
            body = _dumped(item)
    own_id = item.id or item_id(ID_PREFIXES[body["type"]], number, "i", index)
    return {"id": own_id, "status": "completed", **{name: value for name, value in body.items() if name != "id"}}


def _shown_content(role: str, content: wire.Content) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [_shown({"type": "output_text" if role == "assistant" else "input_text", "text": content})]
    return [_shown(_dumped(part)) for part in content]


def _shown(part: dict[str, Any]) -> dict[str, Any]:
    """A part with the fields that its readers require."""
    match part["type"]:
        case "output_text":
            return {**part, "annotations": [], "logprobs": []}
        case "input_image":
            return {"detail": "auto", **part}
        case _:
            return part


def _dumped(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.model_dump(exclude_none=True)
    return dumped
