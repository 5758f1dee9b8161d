"""What an input comes to in tokens, for jobs whose engine was cut off before it had counted."""

from collections.abc import Iterable
from typing import Final, assert_never

from schemas.chat import Chat, part_texts
from schemas.jobs import Stored, Work
from schemas.media import Draw, Embed, Film, Invoke, Speak

BYTES_PER_TOKEN: Final = 4
"""The usual length of a token of English text."""


def estimated_input_tokens(work: Work) -> int:
    """At least one of what is read as tokens; of a body that lies in object storage, by its size there."""
    match work:
        case Stored():
            return max(1, work.size_bytes // BYTES_PER_TOKEN)
        case Chat():
            return _tokens(text for message in work.messages for part in message.parts for text in part_texts(part))
        case Embed():
            texts = [each for each in work.inputs if isinstance(each, str)]
            return sum(len(each) for each in work.inputs if not isinstance(each, str)) + _tokens(texts)
        case Draw() | Speak() | Film() | Invoke():
            return 0
        case _:
            assert_never(work)


def units_of(work: Work) -> int:
    """What of a model's own unit the work is sold as, where that is known before it is done."""
    return len(work.text) if isinstance(work, Speak) else 0


def _tokens(texts: Iterable[str]) -> int:
    return max(1, sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)
