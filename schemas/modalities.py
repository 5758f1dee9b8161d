"""Where models of each modality are served, and what they give."""

from collections.abc import Mapping
from typing import Final, Literal

from schemas.engines import Modality

Endpoint = Literal[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/videos",
    "/v1/async-invoke",
]
Output = Literal["text", "embedding", "image", "audio", "video", "json"]

ENDPOINTS: Final[Mapping[Modality, tuple[Endpoint, ...]]] = {
    "text": ("/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"),
    "embedding": ("/v1/embeddings",),
    "image": ("/v1/images/generations",),
    "speech": ("/v1/audio/speech",),
    "video": ("/v1/videos",),
    "invoke": ("/v1/async-invoke",),
}
"""`/v1/videos` stands for `/v1/video/generations` too."""

OUTPUTS: Final[Mapping[Modality, tuple[Output, ...]]] = {
    "text": ("text",),
    "embedding": ("embedding",),
    "image": ("image",),
    "speech": ("audio",),
    "video": ("video",),
    "invoke": ("json",),
}
