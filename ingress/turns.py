"""Whether a conversation holds together, whichever dialect it came in: calls and results, images and their data."""

from collections.abc import Callable
from typing import Final

from ingress.images import Fault, document_fault, image_fault
from schemas.chat import Chat, Document, Image, Part, Thinking, ToolCall, ToolResult
from schemas.errors import InvalidValue

Place = Callable[[Chat, int, int], str]
"""Where a dialect has the part with this number of the message with that number."""

SHOWN: Final = 80
"""Characters of an id or a name that an error repeats."""


def chat_place(chat: Chat, message: int, part: int) -> str:
    """Chat completions keep content, calls and results apart."""
    parts = chat.messages[message].parts
    at = f"messages[{message}]"
    if isinstance(parts[part], ToolResult):
        return at
    if isinstance(parts[part], ToolCall):
        return f"{at}.tool_calls[{sum(isinstance(each, ToolCall) for each in parts[:part])}]"
    return f"{at}.content[{sum(not isinstance(each, Thinking | ToolCall) for each in parts[:part])}]"


def check_turns(chat: Chat, place: Place = chat_place, *, only_offered: bool = True) -> None:
    """Raises InvalidValue, or BodyTooLarge for an image, naming the place of the first part that is wrong.

    With `only_offered`, a call must be of a tool that this request offers; some dialects let tools come and go in
    mid-conversation.
    """
    _check_choice(chat)
    calls = _Calls(chat, only_offered)
    for number, message in enumerate(chat.messages):
        for index, part in enumerate(message.parts):
            fault = calls.fault(part) or _data_fault(part)
            if fault is not None:
                raise fault.at(place(chat, number, index))


class _Calls:
    """The calls of a conversation as it goes on.

    An id may be used again once its call was answered, for some models count from nought in every turn.
    """

    def __init__(self, chat: Chat, only_offered: bool) -> None:
        self._offered = {tool.name for tool in chat.tools} if only_offered else None
        self._open: set[str] = set()
        self._answered: set[str] = set()

    def fault(self, part: Part) -> Fault | None:
        match part:
            case ToolCall(id=call_id, name=name):
                return self._called(call_id, name)
            case ToolResult(call_id=call_id):
                return self._answer(call_id)
            case _:
                return None

    def _called(self, call_id: str, name: str) -> Fault | None:
        if self._offered is not None and name not in self._offered:
            return Fault(
                f"calls '{_shown(name)}', which is none of this request's tools. Offer every tool that the "
                "conversation has called; 'tool_choice' can keep the model from calling it again"
            )
        if call_id in self._open:
            return Fault(f"has the id '{_shown(call_id)}', which another call has that is still unanswered")
        self._open.add(call_id)
        self._answered.discard(call_id)
        return None

    def _answer(self, call_id: str) -> Fault | None:
        if call_id in self._open:
            self._open.remove(call_id)
            self._answered.add(call_id)
            return None
        why = "has its result already" if call_id in self._answered else "was made by no message before it"
        return Fault(f"is the result of the call '{_shown(call_id)}', which {why}")


def _check_choice(chat: Chat) -> None:
    choice = chat.tool_choice
    if choice is None or choice.mode in ("auto", "none"):
        return
    if not chat.tools:
        raise InvalidValue("'tool_choice' needs 'tools' to choose from.", param="tool_choice")
    if choice.mode == "named" and all(tool.name != choice.name for tool in chat.tools):
        raise InvalidValue(
            f"'tool_choice' names '{_shown(choice.name or '')}', which is none of the tools.", param="tool_choice"
        )


def _data_fault(part: Part) -> Fault | None:
    match part:
        case Image():
            return image_fault(part)
        case Document():
            return document_fault(part)
        case ToolResult(parts=parts):
            return next((fault for inner in parts if (fault := _data_fault(inner)) is not None), None)
        case _:
            return None


def _shown(text: str) -> str:
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
