"""Parts and tools that only one provider's dialect knows: they go to a model of that provider's, or nowhere."""

from ingress.turns import Place
from schemas.catalog import Model
from schemas.chat import Chat, Opaque, Part, ToolResult
from schemas.errors import UnsupportedParameter


def check_native(model: Model, chat: Chat, place: Place) -> None:
    """Raises UnsupportedParameter for what the model's provider could not read, naming its place."""
    for index, tool in enumerate(chat.tools):
        if tool.dialect is not None and tool.dialect != model.dialect:
            raise _unknown(model, f"tools[{index}]", (tool.extras or {}).get("type", tool.name))
    for number, message in enumerate(chat.messages):
        for index, part in enumerate(message.parts):
            stranger = _stranger(part, model.dialect)
            if stranger is not None:
                raise _unknown(model, place(chat, number, index), stranger.body.get("type", ""))


def _stranger(part: Part, dialect: str | None) -> Opaque | None:
    match part:
        case Opaque():
            return None if part.dialect == dialect else part
        case ToolResult(parts=parts):
            return next((found for inner in parts if (found := _stranger(inner, dialect)) is not None), None)
        case _:
            return None


def _unknown(model: Model, param: str, kind: object) -> UnsupportedParameter:
    return UnsupportedParameter(
        f"The model '{model.id}' does not know '{str(kind)[:80]}', the type of '{param}'. Leave it out.", param=param
    )
