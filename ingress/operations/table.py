"""Every operation, by its path: those that are answered when they end, long ones, and those without a job."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from ingress.operations import batches, invocations, videos
from ingress.operations.chat import CHAT
from ingress.operations.completions import COMPLETIONS
from ingress.operations.embeddings import EMBEDDINGS
from ingress.operations.images import IMAGES
from ingress.operations.messages import MESSAGES
from ingress.operations.operation import DirectOperation, LongOperation, Operation
from ingress.operations.responses import RESPONSES
from ingress.operations.speech import SPEECH
from ingress.videos_contract import ENDPOINT as VIDEOS

OPERATIONS: Final[Mapping[str, Operation]] = {
    each.path: each for each in (CHAT, COMPLETIONS, EMBEDDINGS, IMAGES, MESSAGES, RESPONSES, SPEECH)
}

LONG: Final[Mapping[str, LongOperation[Any]]] = {
    VIDEOS: LongOperation(VIDEOS, videos.NAME, videos.ask, partial(videos.started, family="videos")),
    videos.GENERATIONS: LongOperation(
        videos.GENERATIONS, videos.NAME, videos.ask, partial(videos.started, family="generations")
    ),
    invocations.ENDPOINT: LongOperation(invocations.ENDPOINT, invocations.NAME, invocations.ask, invocations.started),
}

DIRECT: Final[Mapping[str, DirectOperation]] = {
    batches.ENDPOINT: DirectOperation(batches.ENDPOINT, batches.create),
    batches.FILES: DirectOperation(batches.FILES, batches.announce),
}
