"""Parts and tools that only one provider's dialect knows: they go to a model of that provider's, or nowhere."""

from collections.abc import Iterator

from ingress.turns import Place
from schemas.catalog import Model
from schemas.chat import Chat, Opaque, Part, ToolResult
from schemas.errors import UnsupportedParameter


def check_native(model: Model, chat: Chat, place: Place) -> None:
    """Raises UnsupportedParameter for the first thing that the model's provider could not read, naming its place."""
    for param, kind in _strange(model, chat, place):
        raise UnsupportedParameter(
            f"The model '{model.id}' does not know '{kind[:80]}', the type of '{param}'. Leave it out.", param=param
        )


def is_native(model: Model, chat: Chat) -> bool:
    """Whether the model's provider knows all that is in the chat."""
    return not any(True for _ in _strange(model, chat, lambda *_: ""))


def _strange(model: Model, chat: Chat, place: Place) -> Iterator[tuple[str, str]]:
    """The place and the type of each tool and part that is another dialect's own."""
    for index, tool in enumerate(chat.tools):
        if tool.dialect is not None and tool.dialect != model.dialect:
            yield f"tools[{index}]", str((tool.extras or {}).get("type", tool.name))
    for number, message in enumerate(chat.messages):
        for index, part in enumerate(message.parts):
            if (stranger := _stranger(part, model.dialect)) is not None:
                yield place(chat, number, index), str(stranger.body.get("type", ""))


def _stranger(part: Part, dialect: str | None) -> Opaque | None:
    match part:
        case Opaque():
            return None if part.dialect == dialect else part
        case ToolResult(parts=parts):
            return next((found for inner in parts if (found := _stranger(inner, dialect)) is not None), None)
        case _:
            return None
