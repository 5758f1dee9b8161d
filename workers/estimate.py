"""What an input comes to in tokens, for jobs whose engine was cut off before it had counted."""

from typing import Final

from schemas.chat import part_texts
from schemas.jobs import Stored, Work

BYTES_PER_TOKEN: Final = 4
"""The usual length of a token of English text."""


def estimated_input_tokens(work: Work) -> int:
    """At least one; of a body that lies in object storage, by its size there."""
    if isinstance(work, Stored):
        return max(1, work.size_bytes // BYTES_PER_TOKEN)
    texts = (text for message in work.messages for part in message.parts for text in part_texts(part))
    return max(1, sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)
