"""Every operation, by its path."""

from collections.abc import Mapping
from typing import Final

from ingress.operations.chat import CHAT
from ingress.operations.completions import COMPLETIONS
from ingress.operations.embeddings import EMBEDDINGS
from ingress.operations.images import IMAGES
from ingress.operations.messages import MESSAGES
from ingress.operations.operation import Operation
from ingress.operations.responses import RESPONSES
from ingress.operations.speech import SPEECH

OPERATIONS: Final[Mapping[str, Operation]] = {
    each.path: each for each in (CHAT, COMPLETIONS, EMBEDDINGS, IMAGES, MESSAGES, RESPONSES, SPEECH)
}
