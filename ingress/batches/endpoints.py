"""What batches can ask, by its path: everything whose answer is one body of JSON."""

from collections.abc import Mapping
from typing import Final

from ingress.operations.chat import CHAT
from ingress.operations.completions import COMPLETIONS
from ingress.operations.embeddings import EMBEDDINGS
from ingress.operations.images import IMAGES
from ingress.operations.messages import MESSAGES
from ingress.operations.operation import Operation
from ingress.operations.responses import RESPONSES
from schemas.errors import InvalidValue

BATCHED: Final[Mapping[str, Operation]] = {
    each.path: each for each in (CHAT, COMPLETIONS, MESSAGES, RESPONSES, EMBEDDINGS, IMAGES)
}


def checked_endpoint(path: str) -> str:
    """Raises InvalidValue."""
    if path not in BATCHED:
        raise InvalidValue(f"'endpoint' should be one of: {', '.join(BATCHED)}.", param="endpoint")
    return path
