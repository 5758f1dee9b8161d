"""What a model's catalogue row accepts in the messages of a chat completion."""

from collections.abc import Mapping
from typing import Final

from ingress.tokens import text_bytes
from schemas.catalog import Model
from schemas.errors import InvalidValue, UnsupportedParameter
from schemas.wire.openai_chat import Message
from schemas.wire.openai_parts import FilePart, Part, RefusalPart, TextPart

PART_INPUTS: Final[Mapping[str, str]] = {
    "text": "text",
    "refusal": "text",
    "image_url": "image",
    "input_audio": "audio",
    "video_url": "video",
    "file": "document",
}

ROLES: Final = ("system", "developer", "user", "assistant", "tool")

ROLE_OF_FIELD: Final = (("tool_calls", "assistant"), ("refusal", "assistant"), ("tool_call_id", "tool"))


def check_message(model: Model, place: int, message: Message) -> int:
    """The UTF-8 bytes of the message's text. Raises UnsupportedParameter or InvalidValue if the model takes it not."""
    at = f"messages[{place}]"
    _check_role(model, at, message)
    _check_fields(model, at, message)
    if message.content is None and message.refusal is None and not message.tool_calls:
        raise InvalidValue(f"'{at}.content' should be a string or an array of parts.", param=f"{at}.content")
    content = message.content
    if isinstance(content, str) and "text" in model.inputs:
        said_bytes = text_bytes(content)
    else:
        said_bytes = sum(_check_part(model, f"{at}.{where}", message, part) for where, part in message.parts())
    calls_bytes = sum(text_bytes(call.function.arguments) for call in message.tool_calls or ())
    return said_bytes + calls_bytes + text_bytes(message.refusal or "")


def _check_role(model: Model, at: str, message: Message) -> None:
    able = "tools" in model.abilities
    roles = ROLES if able else ROLES[:-1]
    if message.role not in roles:
        why = "" if able else f"The model '{model.id}' has no tools, so "
        raise InvalidValue(f"{why}'{at}.role' should be one of: {', '.join(roles)}.", param=f"{at}.role")


def _check_fields(model: Model, at: str, message: Message) -> None:
    beyond = ["function_call", "audio"] if "tools" in model.abilities else ["tool_calls", "function_call", "audio"]
    for field in beyond:
        if getattr(message, field):
            param = f"{at}.{field}"
            raise UnsupportedParameter(f"The model '{model.id}' does not accept '{param}'. Leave it out.", param=param)
    for field, role in ROLE_OF_FIELD:
        if getattr(message, field) and message.role != role:
            param = f"{at}.{field}"
            raise UnsupportedParameter(f"'{param}' belongs to a message of the role '{role}'.", param=param)
    if message.role == "tool" and not message.tool_call_id:
        raise InvalidValue(f"'{at}.tool_call_id' should say which call was answered.", param=f"{at}.tool_call_id")


def _check_part(model: Model, at: str, message: Message, part: Part) -> int:
    kind = PART_INPUTS[part.type]
    if kind not in model.inputs:
        accepted = ", ".join(model.inputs)
        raise InvalidValue(
            f"The model '{model.id}' reads {accepted}; '{at}' is of type '{part.type}'.", param=f"{at}.type"
        )
    if part.type == "refusal" and message.role != "assistant":
        raise InvalidValue(f"'{at}' is of type 'refusal', which only an assistant's message has.", param=f"{at}.type")
    if kind != "text" and message.role not in ("user", "tool"):
        raise InvalidValue(
            f"'{at}' is of type '{part.type}', which only a user's or a tool's message may have.", param=f"{at}.type"
        )
    match part:
        case TextPart(text=text):
            return text_bytes(text)
        case RefusalPart(refusal=refusal):
            return text_bytes(refusal)
        case FilePart(file=file) if file.file_data is None:
            param = f"{at}.file.file_data"
            raise InvalidValue(f"'{param}' should hold the file as a data URI; no files are kept here.", param=param)
        case _:
            return 0
